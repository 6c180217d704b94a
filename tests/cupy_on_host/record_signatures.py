"""Record which arguments CuPy's functions and methods take: ``python record_signatures.py`` beside an installed CuPy.

No GPU is needed. Writes ``signatures.json``, which the stand-in follows.
"""

import inspect
import json
import re
from pathlib import Path


def of_docstring(text):
    """Return the arguments that the first line of a docstring of Cython names."""
    found = re.match(r"[\w.]*\((.*)\)", (text or "").partition("\n")[0])
    if not found:
        return None
    names = re.findall(r"(?:^|, )(?:\*, )?(?:\w+ )?(\w+)(?:=[^,]*)?", found[1])
    return [name for name in names if name != "self"]


def arguments(item):
    """Return the arguments of a function."""
    try:
        return list(inspect.signature(item).parameters)
    except (TypeError, ValueError):
        return of_docstring(item.__doc__)


def main():
    """Write the record."""
    import cupy

    public = {name: item for name, item in sorted(vars(cupy).items()) if not name.startswith("_") and callable(item)}
    plain = {name: item for name, item in public.items() if not inspect.isclass(item)}
    functions = {name: arguments(item) for name, item in plain.items() if not isinstance(item, cupy.ufunc)}
    members = vars(cupy.ndarray.__base__).items()
    methods = {name: of_docstring(item.__doc__) for name, item in members if callable(item)}
    methods = {name: found for name, found in sorted(methods.items()) if found is not None and name[0] != "_"}
    ufuncs = [name for name, item in plain.items() if isinstance(item, cupy.ufunc)]
    text = f'{{\n "cupy": "{cupy.__version__}",\n'
    for key, found in (("functions", functions), ("methods", methods)):
        rows = (f"  {json.dumps(name)}: {json.dumps(own)}" for name, own in found.items() if own is not None)
        text += f' "{key}": {{\n' + ",\n".join(rows) + "\n },\n"
    text += ' "ufuncs": [\n' + ",\n".join(f"  {json.dumps(name)}" for name in ufuncs) + "\n ]\n}\n"
    Path(__file__).with_name("signatures.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
