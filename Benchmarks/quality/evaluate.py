#!/usr/bin/env python3
"""Measure what chunk reuse costs on a small Llama-layout model, and what repair wins back. NumPy only, fp32.

    python3 evaluate.py --model DIR --questions FILE            # the table
    python3 evaluate.py ... --layers 1,2,3 --ratios 0.1,0.15    # choose what is tried

Written apart from train.py (no JAX, no shared code), so that it checks the shipped files and not the trainer.

Terms. *Alone*: the keys and values of a chunk computed with nothing before it, at positions 0..n-1. *Loaded*: those,
keys rotated on to the chunk's place in the prompt. *Fresh*: what a full prefill of the prompt computes.

Modes
  full          every token computed
  reuse         loaded keys and values for all chunks, only the question is computed
  cacheblend    layers below c computed in full for all tokens; at layer c the fresh keys (or values) of every chunk
                token are compared with the loaded ones, the ceil(r * chunk tokens) with the largest squared distance
                are kept; from there on only these rows and the question flow, and their keys and values are spliced
                into the loaded planes from layer c on (below c all planes are fresh)
  rows          rows chosen before anything is computed; they and the question flow through all layers:
                random  - uniform, seeded
                oracle  - largest true deviation of keys and values, summed over layers (each layer and tensor
                          divided by its mean square), which needs the full prefill it is meant to avoid
                prefix  - the first tokens of every chunk (first chunk of the prompt aside)
"""
import argparse
import json
import os
import struct
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
import numpy as np  # noqa: E402  (after the thread limits)


class Model:
    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as f:
            c = json.load(f)
        self.L, self.width = c["num_hidden_layers"], c["hidden_size"]
        self.H, self.G = c["num_attention_heads"], c["num_key_value_heads"]
        self.D = c.get("head_dim", self.width // self.H)
        self.eps, self.vocab = c["rms_norm_eps"], c["vocab_size"]
        self.theta = c["rope_theta"]
        assert c.get("rope_scaling") is None and c["tie_word_embeddings"]
        with open(os.path.join(folder, "model.safetensors"), "rb") as f:
            size, = struct.unpack("<Q", f.read(8))
            header = json.loads(f.read(size))
            data = f.read()
        self.t = {}
        for key, e in header.items():
            if key != "__metadata__":
                assert e["dtype"] == "F32"
                a, b = e["data_offsets"]
                self.t[key] = np.frombuffer(data[a:b], "<f4").reshape(e["shape"])
        self.parameters = sum(x.size for x in self.t.values())
        self.frequencies = self.theta ** (-np.arange(0, self.D, 2, dtype=np.float64) / self.D)

    def w(self, layer, name):
        return self.t[f"model.layers.{layer}.{name}.weight"]

    def norm(self, x, g):
        return x / np.sqrt(np.mean(x * x, -1, keepdims=True, dtype=np.float32) + np.float32(self.eps)) * g

    def rotate(self, x, positions):
        """x [B, S, heads, D], positions [B, S] or [S]: half-split pairing."""
        angle = np.asarray(positions, np.float64)[..., None] * self.frequencies
        cos, sin = (f(angle).astype(np.float32)[..., None, :] for f in (np.cos, np.sin))
        a, b = x[..., :self.D // 2], x[..., self.D // 2:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def embed(self, tokens):
        return self.t["model.embed_tokens.weight"][tokens]

    def project(self, layer, x, positions):
        h = self.norm(x, self.w(layer, "input_layernorm"))
        B, S, _ = x.shape
        q = (h @ self.w(layer, "self_attn.q_proj").T).reshape(B, S, self.H, self.D)
        k = (h @ self.w(layer, "self_attn.k_proj").T).reshape(B, S, self.G, self.D)
        v = (h @ self.w(layer, "self_attn.v_proj").T).reshape(B, S, self.G, self.D)
        return self.rotate(q, positions), self.rotate(k, positions), v

    def finish(self, layer, x, q, k, v, q_positions, k_positions):
        """Attention masked by position, then the feed-forward part. q_positions [B, R] or [R]; k_positions [S]."""
        B, R, _ = x.shape
        group = self.H // self.G
        qh = q.reshape(B, R, self.G, group, self.D).transpose(0, 2, 3, 1, 4).reshape(B, self.G, group * R, self.D)
        s = qh @ k.transpose(0, 2, 3, 1) / np.float32(np.sqrt(self.D))
        seen = np.broadcast_to(np.asarray(k_positions)[None, None] <= np.asarray(q_positions)[..., None],
                               (B, R, k.shape[1]))
        s = np.where(seen[:, None, None], s.reshape(B, self.G, group, R, -1), np.float32(-np.inf))
        s = np.exp(s - s.max(-1, keepdims=True))
        p = (s / s.sum(-1, keepdims=True)).reshape(B, self.G, group * R, -1)
        o = (p @ v.transpose(0, 2, 1, 3)).reshape(B, self.G, group, R, self.D)
        x = x + o.transpose(0, 3, 1, 2, 4).reshape(B, R, -1) @ self.w(layer, "self_attn.o_proj").T
        h = self.norm(x, self.w(layer, "post_attention_layernorm"))
        g = h @ self.w(layer, "mlp.gate_proj").T
        return x + (g / (1 + np.exp(-g)) * (h @ self.w(layer, "mlp.up_proj").T)) @ self.w(layer, "mlp.down_proj").T

    def answer(self, x):
        return (self.norm(x[:, -1], self.t["model.norm.weight"]) @ self.t["model.embed_tokens.weight"].T).argmax(-1)

    def prefill(self, tokens):
        """Planes K, V [L][B, S, G, D] and the last row's hidden state."""
        x, positions, K, V = self.embed(tokens), np.arange(tokens.shape[1]), [], []
        for l in range(self.L):
            q, k, v = self.project(l, x, positions)
            K.append(k)
            V.append(v)
            x = self.finish(l, x, q, k, v, positions, positions)
        return K, V, x


def splice(plane, rows, fresh):
    out = plane.copy()
    np.put_along_axis(out, rows[:, :, None, None], fresh, 1)
    return out


class Prompts:
    """A batch of prompts of one shape: fresh and loaded planes, computed once and used by every mode."""

    def __init__(self, model, chunks, question):
        self.model, (B, C, n) = model, chunks.shape
        self.n, self.C = n, C
        self.reused = C * n
        self.tokens = np.concatenate([chunks.reshape(B, -1), question], 1)
        self.positions = np.arange(self.tokens.shape[1])
        self.fresh_k, self.fresh_v, x = model.prefill(self.tokens)
        self.full = model.answer(x)
        k, v, _ = model.prefill(chunks.reshape(B * C, n))
        shift = np.repeat(np.arange(C) * n, n)
        # old position -> new position is one rotation by the difference
        self.k = [model.rotate(a.reshape(B, C * n, *a.shape[2:]), shift) for a in k]
        self.v = [a.reshape(B, C * n, *a.shape[2:]) for a in v]

    def deviation(self, layer, tensor):
        a, b = (self.fresh_k, self.k) if tensor == "K" else (self.fresh_v, self.v)
        return ((a[layer][:, :self.reused] - b[layer]) ** 2).sum((2, 3))

    def relative(self, layer, tensor):
        a = (self.fresh_k if tensor == "K" else self.fresh_v)[layer][:, :self.reused]
        return self.deviation(layer, tensor) / (a * a).sum((2, 3)).mean()

    def top(self, score, ratio):
        count = int(np.ceil(ratio * self.reused - 1e-9))
        return np.sort(np.argsort(-score, 1, kind="stable")[:, :count], 1)

    def run(self, rows, start):
        """Answers when `rows` and the question flow from layer `start` on, and all tokens below it."""
        m = self.model
        B, S = self.tokens.shape
        positions = self.positions
        x = m.embed(self.tokens)
        for l in range(start):
            q, k, v = m.project(l, x, positions)
            x = m.finish(l, x, q, k, v, positions, positions)
        question = np.broadcast_to(np.arange(self.reused, S), (B, S - self.reused))
        flow = np.concatenate([rows, question], 1)
        x = np.take_along_axis(x, flow[:, :, None], 1)
        pad = np.zeros((B, S - self.reused) + self.k[0].shape[2:], np.float32)
        for l in range(start, m.L):
            q, k, v = m.project(l, x, flow)
            K = splice(np.concatenate([self.k[l], pad], 1), flow, k)
            V = splice(np.concatenate([self.v[l], pad], 1), flow, v)
            x = m.finish(l, x, q, K, V, flow, positions)
        return m.answer(x)


def numbers(text, kind=float):
    return [kind(x) for x in text.split(",") if x]


def main():
    ap = argparse.ArgumentParser()
    here = os.path.dirname(os.path.abspath(__file__))
    demo = os.path.normpath(os.path.join(here, "../../Sources/chunkdb/Demo"))
    ap.add_argument("--model", default=os.path.join(demo, "model"))
    ap.add_argument("--questions", default=os.path.join(demo, "questions.jsonl"))
    ap.add_argument("--ratios", default="0.1,0.15,0.2,0.3")
    ap.add_argument("--layers", default="", help="check layers; default: all from 1 on")
    ap.add_argument("--tensors", default="K,V")
    ap.add_argument("--limit", type=int, default=0)
    ap.add_argument("--group", type=int, default=100, help="prompts computed at a time")
    ap.add_argument("--seed", type=int, default=5, help="of the random rows")
    args = ap.parse_args()
    begin = time.time()
    model = Model(args.model)
    with open(args.questions) as f:
        lines = [json.loads(x) for x in f if x.strip()]
    if args.limit:
        lines = lines[:args.limit]
    chunks = np.array([x["chunks"] for x in lines])
    question = np.array([x["question"] for x in lines])
    answer = np.array([x["answer"] for x in lines])
    second = np.array([x["needs"] == "other chunk" for x in lines])
    ratios = numbers(args.ratios)
    layers = numbers(args.layers, int) or list(range(1, model.L))
    tensors = args.tensors.split(",")
    rng = np.random.default_rng(args.seed)
    results, shares, exact = {}, {}, 0.0

    def note(key, values):
        results.setdefault(key, []).append(values)

    for at in range(0, len(lines), args.group):
        p = Prompts(model, chunks[at:at + args.group], question[at:at + args.group])
        B = len(p.tokens)
        for planes, fresh in ((p.k, p.fresh_k), (p.v, p.fresh_v)):
            exact = max(exact, float(np.abs(planes[0] - fresh[0][:, :p.reused]).max()))
        none = np.zeros((B, 0), int)
        note(("full prefill", "", 1.0), p.full)
        note(("reuse, realigned, no repair", "", 0.0), p.run(none, 0))
        total = sum(p.relative(l, t) for l in range(model.L) for t in "KV")
        begins = np.broadcast_to(np.where(np.arange(p.reused) < p.n, 0.0, p.n - np.arange(p.reused) % p.n),
                                 (B, p.reused))
        chance = rng.random((B, p.reused))
        for r in ratios:
            note(("rows: random", "", r), p.run(p.top(chance, r), 0))
            note(("rows: chunk beginnings", "", r), p.run(p.top(begins, r), 0))
            note(("rows: oracle", "", r), p.run(p.top(total, r), 0))
            for c in layers:
                for t in tensors:
                    note(("CacheBlend", f"layer {c}, {t}", r), p.run(p.top(p.deviation(c, t), r), c))
        for c in range(1, model.L):
            for t in tensors:
                d = np.sort(p.deviation(c, t), 1)[:, ::-1]
                k = int(np.ceil(0.15 * p.reused))
                shares.setdefault((c, t), []).append((d[:, :k].sum(1) / (d.sum(1) + 1e-30)).mean())

    print(f"model {args.model}: {model.L} layers, width {model.width}, {model.parameters} parameters")
    print(f"{len(lines)} prompts of {chunks.shape[1]} chunks of {chunks.shape[2]} tokens; {int(second.sum())} need another chunk")
    print(f"layer 0, loaded against fresh: largest difference {exact:.1e}\n")
    print("| mode | check | rows | first chunk | second chunk | all |\n|---|---|---|---|---|---|")
    for (mode, check, r), v in sorted(results.items(), key=lambda e: (list(m for m, _, _ in results).index(e[0][0]),
                                                                      e[0][1], e[0][2])):
        right = np.concatenate(v) == answer
        print(f"| {mode} | {check} | {r:.0%} | {right[~second].mean():.3f} | {right[second].mean():.3f} | {right.mean():.3f} |")
    print("\nshare of the squared deviation that the top 15 % of the rows hold: "
          + ", ".join(f"{c}{t} {np.mean(x):.2f}" for (c, t), x in shares.items()))
    print(f"{time.time() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
