"""What a processor has for products of few bits: its class, which decides what is required of searches."""

from pathlib import Path

AMX, VNNI, NEITHER = "amx", "vnni", "neither"

WORDS = {
    AMX: "it multiplies tiles of bfloat16 (the flag `amx_bf16`)",
    VNNI: "it multiplies vectors of bytes (the flag `avx512_vnni` or `avx_vnni`), but no tiles",
    NEITHER: "it has no flag of `amx_bf16`, `avx512_vnni` and `avx_vnni`",
}


def processor_flags() -> frozenset[str]:
    """Read the flags of the first processor; none where the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def processor_class() -> str:
    """Return the class of this processor."""
    flags = processor_flags()
    if "amx_bf16" in flags:
        return AMX
    return VNNI if flags & {"avx512_vnni", "avx_vnni"} else NEITHER
