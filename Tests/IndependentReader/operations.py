"""What journal entries and log records both carry: tombstone rows, namespace operations (06)."""

import math

from basics import Stream, below62, decode, need, refused


def tombstone_row(data, at, trace=None, label=None):
    f = decode("tombstoneRow", data, at, trace, label)
    need(f["scope"] in (1, 2), "tombstoneRow", "scope", "TMB-1", "1 or 2", f["scope"])
    need(
        f["scope"] == 1 or f["variantID"] == 0,
        "tombstoneRow",
        "variantID",
        "TMB-1",
        0,
        f["variantID"],
    )
    below62("tombstoneRow", f, "commit")
    return f


def namespace_operation(data, trace=None, base=0):
    name = "namespaceOperation"
    if trace is not None:
        trace.add(base, base + len(data), name)
    s = Stream(name, data, "NSP-1", trace, base)
    op = {"operation": s.u(2, "operation"), "namespace": s.u(4, "namespace")}
    need(op["operation"] in (1, 2), name, "operation", "NSP-1", "1 or 2", op["operation"])
    if op["operation"] == 2:
        op["commit"] = s.u(8, "commit")
        below62(name, op, "commit")
        s.end()
        return op
    for size, field in (("nameBytes", "name"), ("modelBytes", "model")):
        n = s.u(2, size)
        need(n <= 255, name, size, "NSP-2", "at most 255", n)
        raw = s.raw(n, field)
        try:
            op[field] = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise refused(name, field, "NSP-2", "UTF-8", raw.hex()) from None
    op["weightsDigest"] = s.raw(32, "weightsDigest")
    for field, known in (("elementType", range(1, 6)), ("keyForm", (1, 2)), ("pairing", (1, 2))):
        op[field] = s.u(1, field)
        need(op[field] in known, name, field, "NSP-3", "a known value", op[field])
    zero = s.u(1, "reserved")
    need(zero == 0, name, "reserved", "FMT-3", 0, zero)

    def f32(field, bits):
        op[bits] = int.from_bytes(s.data[s.pos : s.pos + 4], "little")
        op[field] = s.f32(field)

    f32("rotaryBase", "rotaryBaseBits")
    need(
        math.isfinite(op["rotaryBase"]) and op["rotaryBase"] > 1,
        name,
        "rotaryBase",
        "NSP-4",
        "finite, above 1",
        op["rotaryBase"],
    )
    op["rotaryDimension"] = s.u(4, "rotaryDimension")
    op["scaling"] = s.u(1, "scaling")
    need(op["scaling"] <= 3, name, "scaling", "NSP-3", "0 to 3", op["scaling"])
    factors = {
        0: [],
        1: ["factor"],
        2: ["factor", "lowFrequencyFactor", "highFrequencyFactor"],
        3: ["factor", "betaFast", "betaSlow", "attentionFactor"],
    }[op["scaling"]]
    op["scalingBits"] = []
    for field in factors:
        f32(field, "bits")
        op["scalingBits"].append(op["bits"])
    op["originalPositionCount"] = op["roundsRamp"] = 0
    if op["scaling"] >= 2:
        op["originalPositionCount"] = s.u(4, "originalPositionCount")
    if op["scaling"] == 3:
        op["roundsRamp"] = s.u(1, "roundsRamp")
        need(op["roundsRamp"] <= 1, name, "roundsRamp", "NSP-3", "0 or 1", op["roundsRamp"])
    for field in factors:
        fits = math.isfinite(op[field]) and op[field] > 0
        need(fits, name, field, "NSP-4", "finite and positive", op[field])
    if op["scaling"] == 3:
        fits = op["betaFast"] > op["betaSlow"] and op["originalPositionCount"] > 0
        need(fits, name, "betaFast", "NSP-4", "above betaSlow, over a position", op["betaFast"])
    rank, size = s.u(2, "tensorParallelRank"), s.u(2, "tensorParallelSize")
    op["tensorParallelRank"], op["tensorParallelSize"] = rank, size
    need(rank < size, name, "tensorParallelRank", "NSP-4", f"below {size}", rank)
    op["checkLayer"], op["deviationTensor"] = s.u(2, "checkLayer"), s.u(1, "deviationTensor")
    runs, op["layers"] = s.u(2, "runCount"), []
    need(
        runs * 14 <= len(s.data) - s.pos,
        name,
        "runCount",
        "FMT-4",
        "runs inside the operation",
        runs,
    )
    for i in range(runs):
        repeat, heads, dim, window = (
            s.u(w, f"runs[{i}].{n}")
            for w, n in (
                (2, "repeat"),
                (4, "kvHeadCount"),
                (4, "headDimension"),
                (4, "windowTokenCount"),
            )
        )
        need(
            repeat >= 1 and len(op["layers"]) + repeat <= 1024,
            name,
            "runs",
            "NSP-9",
            "1 to 1024 layers",
            repeat,
        )
        need(
            heads >= 1 and dim >= 1 and heads * dim <= 1 << 20,
            name,
            "runs",
            "NSP-4",
            "rows of 1 to 2^20 numbers",
            f"{heads} x {dim}",
        )
        op["layers"] += [(heads, dim, window)] * repeat
    s.end()
    need(op["layers"], name, "runCount", "NSP-4", "1 to 1024 layers", 0)
    r = op["rotaryDimension"]
    need(
        r % 2 == 0 and all(r <= d for _, d, _ in op["layers"]),
        name,
        "rotaryDimension",
        "NSP-4",
        "even, at most every head dimension",
        r,
    )
    need(
        op["checkLayer"] <= len(op["layers"]),
        name,
        "checkLayer",
        "NSP-4",
        "a layer it has",
        op["checkLayer"],
    )
    return op
