"""Record which arguments CuPy's functions and methods take: ``python record_signatures.py`` beside an installed CuPy.

No GPU is needed. Writes ``signatures.json``, which the stand-in follows.
"""

import inspect
import json
import re
from pathlib import Path

import cupy


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


public = {name: item for name, item in sorted(vars(cupy).items()) if not name.startswith("_") and callable(item)}
plain = {name: item for name, item in public.items() if not inspect.isclass(item)}
functions = {name: arguments(item) for name, item in plain.items() if not isinstance(item, cupy.ufunc)}
methods = {name: of_docstring(item.__doc__) for name, item in vars(cupy.ndarray.__base__).items() if callable(item)}
record = {
    "cupy": cupy.__version__,
    "functions": {name: found for name, found in functions.items() if found is not None},
    "methods": {name: found for name, found in sorted(methods.items()) if found is not None and name[0] != "_"},
    "ufuncs": [name for name, item in plain.items() if isinstance(item, cupy.ufunc)],
}


def lines(key):
    """Write one section, an entry a line."""
    rows = [f"  {json.dumps(name)}: {json.dumps(found)}" for name, found in record[key].items()]
    return f' "{key}": {{\n' + ",\n".join(rows) + "\n }"


text = f'{{\n "cupy": "{record["cupy"]}",\n{lines("functions")},\n{lines("methods")},\n'
text += ' "ufuncs": [\n' + ",\n".join(f"  {json.dumps(name)}" for name in record["ufuncs"]) + "\n ]\n}\n"
Path(__file__).with_name("signatures.json").write_text(text, encoding="utf-8")
