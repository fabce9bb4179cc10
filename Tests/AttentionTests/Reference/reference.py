#!/usr/bin/env python3
"""A Llama-layout decoder in NumPy, written from the formulas and not from the Swift code.

All arithmetic is float64 (weights are the float32 numbers of the fixture), one token row after the
other where that is the plainest way to say it. Run it to make the fixtures anew:

    python3 reference.py ../Fixtures

It writes one `<name>.json` (configuration, prompts, expected numbers) and one `<name>.safetensors`
(random weights) for every variant below. Nothing needs Python when the tests run.
"""

import json
import math
import struct
import sys
from pathlib import Path

import numpy as np

BASE = dict(
    architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu",
    hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, vocab_size=40, rms_norm_eps=1e-5, rope_theta=10000.0,
    max_position_embeddings=512, tie_word_embeddings=True)

VARIANTS = {
    "tied": dict(),
    # An untied head, head widths that fill no vector, and weights in bfloat16.
    "untied": dict(tie_word_embeddings=False, head_dim=6, intermediate_size=21, hidden_size=20,
                   vocab_size=37, torch_dtype="bfloat16"),
    "interleaved": dict(rope_interleave=True, num_key_value_heads=1, torch_dtype="float16"),
    "partial": dict(partial_rotary_factor=0.5, num_key_value_heads=4, num_hidden_layers=2,
                    rope_scaling=dict(rope_type="linear", factor=4.0)),
    "llama3": dict(rope_theta=500000.0, sliding_window=20, num_hidden_layers=2,
                   rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                     high_freq_factor=4.0,
                                     original_max_position_embeddings=64)),
    # Two dialects of YaRN: whole pairs, and a ramp that begins and ends between them (gpt-oss).
    "yarn": dict(num_hidden_layers=2, rope_theta=100.0,
                 rope_scaling=dict(rope_type="yarn", factor=4.0, beta_fast=8.0, beta_slow=1.0,
                                   original_max_position_embeddings=128)),
    "yarn-smooth": dict(num_hidden_layers=2, rope_interleave=True, partial_rotary_factor=0.75,
                        rope_scaling=dict(rope_type="yarn", factor=16.0, truncate=False,
                                          attention_factor=0.8,
                                          original_max_position_embeddings=64)),
}


# ---- weights -----------------------------------------------------------------------------------

def shapes(cfg):
    hidden, wide = cfg["hidden_size"], cfg["intermediate_size"]
    query = cfg["num_attention_heads"] * cfg["head_dim"]
    row = cfg["num_key_value_heads"] * cfg["head_dim"]
    yield "model.embed_tokens.weight", (cfg["vocab_size"], hidden)
    for layer in range(cfg["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", (hidden,)
        yield at + "self_attn.q_proj.weight", (query, hidden)
        yield at + "self_attn.k_proj.weight", (row, hidden)
        yield at + "self_attn.v_proj.weight", (row, hidden)
        yield at + "self_attn.o_proj.weight", (hidden, query)
        yield at + "post_attention_layernorm.weight", (hidden,)
        yield at + "mlp.gate_proj.weight", (wide, hidden)
        yield at + "mlp.up_proj.weight", (wide, hidden)
        yield at + "mlp.down_proj.weight", (hidden, wide)
    yield "model.norm.weight", (hidden,)
    if not cfg["tie_word_embeddings"]:
        yield "lm_head.weight", (cfg["vocab_size"], hidden)


def random_weights(cfg, rng):
    """Numbers that the file's type holds exactly, as float32."""
    kind = cfg.get("torch_dtype", "float32")
    result = {}
    for name, shape in shapes(cfg):
        if len(shape) == 1:
            w = 1 + 0.2 * rng.standard_normal(shape)
        else:
            # Sharper than an initialization, so that attention is not nearly uniform.
            w = rng.standard_normal(shape) * (1.6 / math.sqrt(shape[1]))
        w = w.astype(np.float32)
        if kind == "float16":
            w = w.astype(np.float16).astype(np.float32)
        if kind == "bfloat16":
            w = (w.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        result[name] = w
    return result


def write_safetensors(path, weights, kind):
    header, blobs, offset = {}, [], 0
    for name, w in weights.items():
        if kind == "float16":
            dtype, blob = "F16", w.astype("<f2").tobytes()
        elif kind == "bfloat16":
            dtype, blob = "BF16", (w.view(np.uint32) >> 16).astype("<u2").tobytes()
        else:
            dtype, blob = "F32", w.astype("<f4").tobytes()
        header[name] = dict(dtype=dtype, shape=list(w.shape),
                            data_offsets=[offset, offset + len(blob)])
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


# ---- the decoder -------------------------------------------------------------------------------

def frequencies(cfg):
    dim = int(cfg["head_dim"] * cfg.get("partial_rotary_factor", 1.0))
    inverse = [cfg["rope_theta"] ** (-2 * i / dim) for i in range(dim // 2)]
    scaling = cfg.get("rope_scaling") or {}
    kind = scaling.get("rope_type", "default")
    if kind == "linear":
        inverse = [f / scaling["factor"] for f in inverse]
    if kind == "llama3":
        # As in Meta's apply_scaling: by wavelength.
        low = scaling["original_max_position_embeddings"] / scaling["low_freq_factor"]
        high = scaling["original_max_position_embeddings"] / scaling["high_freq_factor"]
        stretched = []
        for f in inverse:
            wavelength = 2 * math.pi / f
            if wavelength < high:
                stretched.append(f)
            elif wavelength > low:
                stretched.append(f / scaling["factor"])
            else:
                smooth = ((scaling["original_max_position_embeddings"] / wavelength
                           - scaling["low_freq_factor"])
                          / (scaling["high_freq_factor"] - scaling["low_freq_factor"]))
                stretched.append((1 - smooth) * f / scaling["factor"] + smooth * f)
        inverse = stretched
    if kind == "yarn":
        # As in the paper's section 3.2, with the defaults of Hugging Face's reader: by turns over
        # the original positions, linear in the pair's number.
        def pair_of(turns):
            length = scaling["original_max_position_embeddings"] / (turns * 2 * math.pi)
            return dim * math.log(length) / (2 * math.log(cfg["rope_theta"]))
        low, high = pair_of(scaling.get("beta_fast", 32.0)), pair_of(scaling.get("beta_slow", 1.0))
        if scaling.get("truncate", True):
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, dim - 1)
        for i, f in enumerate(inverse):
            divided = min(max((i - low) / (high - low), 0.0), 1.0)
            inverse[i] = f / scaling["factor"] * divided + f * (1 - divided)
    return np.array(inverse)


def attention_factor(cfg):
    scaling = cfg.get("rope_scaling") or {}
    if scaling.get("rope_type") != "yarn":
        return 1.0
    return scaling.get("attention_factor", 0.1 * math.log(scaling["factor"]) + 1)


def rotate(cfg, x, positions, factor=1.0):
    """x: [token, head, dim]; rotates pair i of every head by position · frequency i."""
    f = frequencies(cfg)
    pairs = len(f)
    angle = np.asarray(positions, dtype=np.float64)[:, None, None] * f
    if cfg.get("rope_interleave"):
        first, second = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
    else:
        first, second = slice(0, pairs), slice(pairs, 2 * pairs)
    # Complex multiplication by e^(i·angle).
    z = (x[..., first] + 1j * x[..., second]) * np.exp(1j * angle) * factor
    out = x.copy()
    out[..., first], out[..., second] = z.real, z.imag
    return out


def rms(x, w, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w


class Decoder:
    def __init__(self, cfg, weights):
        self.cfg = cfg
        self.w = {k: v.astype(np.float64) for k, v in weights.items()}
        self.seen = None  # per layer, attention weights [query][key], mean of heads

    def layer(self, index, name):
        return self.w[f"model.layers.{index}.{name}.weight"]

    def keys_values(self, index, x, positions):
        cfg = self.cfg
        n = rms(x, self.layer(index, "input_layernorm"), cfg["rms_norm_eps"])
        shape = (len(x), cfg["num_key_value_heads"], cfg["head_dim"])
        k = (n @ self.layer(index, "self_attn.k_proj").T).reshape(shape)
        v = (n @ self.layer(index, "self_attn.v_proj").T).reshape(shape)
        return rotate(cfg, k, positions, attention_factor(cfg)), v

    def block(self, index, x, positions, keys, values, key_places, beside=None):
        """Attention of rows x (at `positions`) to keys (at `key_places`), then the MLP.

        beside: (rows of x, chunk of each key or None, temperature, scale) of chunks side by side.
        """
        cfg = self.cfg
        heads, kv, dim = cfg["num_attention_heads"], cfg["num_key_value_heads"], cfg["head_dim"]
        n = rms(x, self.layer(index, "input_layernorm"), cfg["rms_norm_eps"])
        q = (n @ self.layer(index, "self_attn.q_proj").T).reshape(len(x), heads, dim)
        q = rotate(cfg, q, positions, attention_factor(cfg))
        back = np.asarray(positions)[:, None] - np.asarray(key_places)[None, :]
        visible = back >= 0
        if cfg.get("sliding_window"):
            visible &= back < cfg["sliding_window"]
        if beside:
            rows, chunk_of, temperature, scale = beside
            visible = np.array([[k <= q and (chunk_of[k] is None or chunk_of[q] is None
                                             or chunk_of[k] == chunk_of[q])
                                 for k in range(len(key_places))] for q in rows])
            in_chunk = np.array([c is not None for c in chunk_of])
            is_later = np.array([chunk_of[q] is None and any(in_chunk[:q]) for q in rows])
        out = np.zeros((len(x), heads, dim))
        weights = np.zeros(visible.shape)
        for h in range(heads):
            g = h // (heads // kv)
            s = q[:, h] @ keys[:, g].T / math.sqrt(dim)
            s = np.where(visible, s, -np.inf)
            p = np.exp(s - s.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
            if beside:  # two softmaxes, merged by their log-sum-exps
                for i in np.flatnonzero(is_later):
                    parts, logs = [], []
                    for part, t, factor in ((in_chunk, temperature, scale * temperature),
                                            (~in_chunk, 1.0, 1.0)):
                        e = np.where(part, np.exp(s[i] / t), 0.0)
                        parts.append(e / e.sum())
                        logs.append(factor * math.log(e.sum()))
                    share = 1 / (1 + math.exp(logs[1] - logs[0]))
                    p[i] = share * parts[0] + (1 - share) * parts[1]
            out[:, h] = p @ values[:, g]
            weights += p / heads
        if self.seen is not None:
            self.seen.append(weights)
        x = x + out.reshape(len(x), -1) @ self.layer(index, "self_attn.o_proj").T
        n = rms(x, self.layer(index, "post_attention_layernorm"), cfg["rms_norm_eps"])
        g = n @ self.layer(index, "mlp.gate_proj").T
        u = n @ self.layer(index, "mlp.up_proj").T
        return x + (g / (1 + np.exp(-g)) * u) @ self.layer(index, "mlp.down_proj").T

    def logits(self, row):
        head = self.w.get("lm_head.weight", self.w["model.embed_tokens.weight"])
        return rms(row, self.w["model.norm.weight"], self.cfg["rms_norm_eps"]) @ head.T

    def embed(self, tokens):
        return self.w["model.embed_tokens.weight"][np.asarray(tokens)]

    def prefill(self, tokens, base=0):
        places = list(range(base, base + len(tokens)))
        x, planes = self.embed(tokens), []
        for index in range(self.cfg["num_hidden_layers"]):
            k, v = self.keys_values(index, x, places)
            planes.append((k, v))
            x = self.block(index, x, places, k, v, places)
        return self.logits(x[-1]), planes

    def capture(self, tokens, base, segments):
        """Cache-Craft's sums of a full prefill: masses [layer][i][j] and s(t) of every row."""
        self.seen = []
        self.prefill(tokens, base)
        seen, self.seen = self.seen, None
        masses = [[[w[a:b, c:d].sum() for c, d in segments] for a, b in segments] for w in seen]
        outside = np.ones(len(tokens), bool)
        scores = np.zeros(len(tokens))
        for i, (a, b) in enumerate(segments):
            outside[a:b] = False
            for c, d in segments[:i]:
                scores[a:b] += np.mean([w[a:b, c:d].sum(1) for w in seen], axis=0)
        rest = [[w[outside, c:d].sum() for c, d in segments] for w in seen]
        return dict(segments=segments, masses=numbers(masses), outside=numbers(rest),
                    scores=numbers(scores))

    def blend(self, spans, mode, ratio=0.0, check=0, tensor="keys", rows=(), steps=(), open=(),
              budgets=None, beside=None, temperature=1.0, scale=1.0):
        """spans: [(tokens, base or None, start)]; base None is fresh.

        Modes: concatenate, realign, blend, rows, filter, parallel (spans `beside` have one start
        and do not see each other). Returns logits, planes, chosen rows.
        filter: `rows` are computed throughout; the other rows of `open` spans are compared at each
        of `steps` [(layer, ratio)]; at the last one, spans in `budgets` keep that many of theirs.
        """
        tokens = [t for s in spans for t in s[0]]
        places = [s[2] + i for s in spans for i in range(len(s[0]))]
        reused = np.array([s[1] is not None for s in spans for _ in s[0]])
        stored = []
        for s in spans:
            stored.append(None if s[1] is None else self.prefill(s[0], s[1])[1])
        layers = self.cfg["num_hidden_layers"]
        kv, dim = self.cfg["num_key_value_heads"], self.cfg["head_dim"]

        def loaded(index):
            k, v = np.zeros((len(tokens), kv, dim)), np.zeros((len(tokens), kv, dim))
            at = 0
            for s, planes in zip(spans, stored):
                n = len(s[0])
                if planes is not None:
                    old = planes[index][0]
                    shift = 0 if mode == "concatenate" else s[2] - s[1]
                    k[at:at + n] = rotate(self.cfg, old, [shift] * n)
                    v[at:at + n] = planes[index][1]
                at += n
            return k, v

        must = ~reused
        must[-1] = True
        active = np.arange(len(tokens))
        if mode in ("concatenate", "realign", "parallel"):
            active = np.flatnonzero(must)
        if mode == "rows":
            chosen = must.copy()
            chosen[list(rows)] = True
            active = np.flatnonzero(chosen)
        span_of = [i for i, s in enumerate(spans) for _ in s[0]]
        if mode == "filter":
            must[list(rows)] = True
            is_open = np.array([i in open for i in span_of])
            is_open[list(rows)] = False
            active = np.flatnonzero(must | is_open)
        x, planes = self.embed(tokens)[active], []
        for index in range(layers):
            k, v = loaded(index)
            at = [places[i] for i in active]
            fresh_k, fresh_v = self.keys_values(index, x, at)
            if mode == "blend" and index == check:
                old, new = (k, fresh_k) if tensor == "keys" else (v, fresh_v)
                deviation = ((old - new) ** 2).sum((1, 2))
                count = math.ceil(ratio * reused.sum() - 1e-9)
                candidates = np.flatnonzero(reused)
                order = sorted(candidates, key=lambda i: (-deviation[i], i))[:count]
                chosen = must.copy()
                chosen[order] = True
                keep = np.flatnonzero(chosen)
                x, fresh_k, fresh_v = x[keep], fresh_k[keep], fresh_v[keep]
                active, at = keep, [places[i] for i in keep]
            here = [r for at_layer, r in steps if at_layer == index]
            if mode == "filter" and here:
                old, new = (k, fresh_k) if tensor == "keys" else (v, fresh_v)
                deviation = {row: ((old[row] - new[i]) ** 2).sum() for i, row in enumerate(active)}
                own = budgets if budgets and index == steps[-1][0] else {}
                groups = {s: ([r for r in active if is_open[r] and span_of[r] == s], n)
                          for s, n in own.items()}
                shared = [r for r in range(len(tokens)) if is_open[r] and span_of[r] not in own]
                groups["shared"] = ([r for r in active if r in shared],
                                    math.ceil(here[0] * len(shared) - 1e-9))
                chosen = must.copy()
                for candidates, count in groups.values():
                    order = sorted(candidates, key=lambda i: (-deviation[i], i))[:count]
                    chosen[order] = True
                keep = [i for i, row in enumerate(active) if chosen[row]]
                x, fresh_k, fresh_v = x[keep], fresh_k[keep], fresh_v[keep]
                active = active[keep]
                at = [places[i] for i in active]
            k[active], v[active] = fresh_k, fresh_v
            planes.append((k, v))
            block = None
            if beside:
                chunk_of = [i if i in beside else None for i in span_of]
                block = ([int(i) for i in active], chunk_of, temperature, scale)
            x = self.block(index, x, at, k, v, places, block)
        return self.logits(x[-1]), planes, [int(i) for i in active if reused[i]]

    def decode(self, planes, places, token):
        """One more token; appends to planes and places."""
        place = places[-1] + 1
        places.append(place)
        x = self.embed([token])
        for index, (k, v) in enumerate(planes):
            fresh_k, fresh_v = self.keys_values(index, x, [place])
            k, v = np.concatenate([k, fresh_k]), np.concatenate([v, fresh_v])
            planes[index] = (k, v)
            x = self.block(index, x, [place], k, v, places)
        return self.logits(x[0])


# ---- fixtures ----------------------------------------------------------------------------------

def numbers(x):
    return [float(f"{v:.8g}") for v in np.asarray(x).ravel()]


def fixture(name, overrides, folder):
    cfg = {**BASE, **overrides}
    rng = np.random.default_rng(sorted(VARIANTS).index(name) + 1)
    weights = random_weights(cfg, rng)
    write_safetensors(folder / f"{name}.safetensors", weights, cfg.get("torch_dtype", "float32"))
    model = Decoder(cfg, weights)
    draw = lambda n: [int(t) for t in rng.integers(0, cfg["vocab_size"], n)]
    # Two stored chunks around uncached tokens, then a question; one chunk stored off zero.
    spans = [(draw(9), 0, 3), (draw(3), None, 12), (draw(11), 40, 15), (draw(4), None, 26)]
    tokens = [t for s in spans for t in s[0]]
    places = [s[2] + i for s in spans for i in range(len(s[0]))]
    full, planes = model.prefill(tokens, 3)
    last = planes[-1]
    chunk = model.prefill(spans[2][0], 40)[1]
    cases = []

    def case(label, **options):
        logits, _, chosen = model.blend(spans, **options)
        cases.append(dict(name=label, **options, logits=numbers(logits), chosen=chosen))

    check = cfg["num_hidden_layers"] - 1
    case("concatenate", mode="concatenate")
    case("realign", mode="realign")
    for tensor in ("keys", "values"):
        case(f"blend {tensor}", mode="blend", ratio=0.3, check=check, tensor=tensor)
    case("blend early", mode="blend", ratio=0.15, check=1, tensor="keys")
    case("rows", mode="rows", rows=[2, 5, 13, 20])
    # Layer 0 and the first chunk agree up to rounding: no choice may depend on those.
    steps = [(1, 0.5), (2, 0.3)][:check]
    for tensor in ("keys", "values"):
        case(f"gradual {tensor}", mode="filter", open=[0, 2], steps=steps, tensor=tensor)
    case("known and open", mode="filter", rows=[1, 4], open=[2], steps=[(1, 0.35)])
    case("own budgets", mode="filter", rows=[14], open=[0, 2], steps=steps,
         budgets={0: 0}, tensor="values")

    parallel = []
    if not cfg.get("sliding_window"):
        # Shared prefix, then three chunks at one place (one of them not stored), then a question.
        tokens = [t for s in spans for t in s[0]]
        side = [(tokens[:2], None, 5), (tokens[2:9], 7, 7), (tokens[9:13], None, 7),
                (tokens[13:22], 30, 7), (tokens[22:], None, 17)]
        for temperature, scale in ((1.0, 1.0), (0.9, 0.9), (0.7, 1.2)):
            found, _, _ = model.blend(side, mode="parallel", beside=[1, 2, 3],
                                      temperature=temperature, scale=scale)
            parallel.append(dict(
                spans=[dict(tokens=s[0], base=s[1], start=s[2]) for s in side],
                temperature=temperature, scale=scale, logits=numbers(found)))
    logits, cache, _ = model.blend(spans, mode="realign")
    generated, steps, places = [], [], list(places)
    for _ in range(5):
        token = int(np.argmax(logits))
        generated.append(token)
        logits = model.decode(cache, places, token)
        steps.append(numbers(logits))
    Path(folder / f"{name}.json").write_text(json.dumps(dict(
        config=cfg,
        spans=[dict(tokens=s[0], base=s[1], start=s[2]) for s in spans],
        full=dict(logits=numbers(full), lastKeys=numbers(last[0]), lastValues=numbers(last[1])),
        chunkKeys=numbers(chunk[-1][0]),
        capture=model.capture(tokens, 3, [(0, 9), (12, 18), (18, 23)]),
        parallel=parallel, cases=cases, generated=generated, decodeLogits=steps), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "Fixtures")
    target.mkdir(exist_ok=True)
    for name, overrides in VARIANTS.items():
        fixture(name, overrides, target)
