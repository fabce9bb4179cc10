#!/usr/bin/env python3
"""Train the small Llama-layout model that ChunkDB ships for its quality tests.

One command, from scratch, on the CPU, seeded:

    python3 train.py --out out/            # config.json, model.safetensors, questions.jsonl

The task ("who does this fact belong to?")
------------------------------------------
A prompt holds DOCS documents. Each is cut into two chunks of CHUNK tokens:

    first chunk    [start] entity  ... attribute value ... attribute value ...
    second chunk   [start]         ... attribute value ... attribute value ...

with random filler tokens in between. The second chunk goes on about the entity of the first one
without naming it. All documents of a prompt use the same attributes in the same chunk, so a value
of a second chunk is told apart from its namesakes only by what was read *before* that chunk.
A question is `[ask] entity attribute`, the answer is the value.

Every fact of a prompt is asked in training: the questions are parallel branches that stand at the
same positions after the last chunk, see the chunks and themselves, and do not see each other. That is the
same computation as one prompt per question, and several times cheaper.

Stages (see STAGES) follow a curriculum; each ends when its target on held-out prompts is met, or at
its step limit. The optimiser is new and the data seed is (SEED, stage) at each stage, so `--from-stage k
--init DIR` continues from the checkpoint that stage k-1 left and computes what one long run would.
"""
import argparse
import json
import os
import struct
import time

import jax
import jax.numpy as jnp
import numpy as np

# ---------------------------------------------------------------- shape, task, seeds

SEED = 20261121           # weights and training data
HELD_OUT_SEED = 77000001  # evaluation during training
QUESTION_SEED = 88000001  # questions.jsonl

LAYERS, WIDTH, HEADS, KV_HEADS, HEAD_DIM, FFN = 6, 128, 4, 2, 32, 256
ROPE_BASE, EPS = 10000.0, 1e-5
ASK, START = 1, 2
ENTITIES, ATTRIBUTES, VALUES, FILLERS = 48, 12, 48, 40
ENTITY0 = 8
ATTRIBUTE0 = ENTITY0 + ENTITIES
VALUE0 = ATTRIBUTE0 + ATTRIBUTES
FILLER0 = VALUE0 + VALUES
VOCAB = FILLER0 + FILLERS
CHUNK = 32
DOCS = 3
MAX_POSITIONS = 512

# kind: copy | docs.  docs: documents per prompt, one step after the other; the first is what is reported.  chunk: tokens
# per chunk.  shared: do all documents use the same attributes?  until: the stage ends when the held-out accuracy
# of the worse chunk kind reaches it (looked at every 100 steps).  lr: peak; end: final learning rate, reached by a
# cosine (constant if absent).
STAGES = [
    dict(kind="copy", steps=1500, batch=64, lr=2e-3, until=0.97),
    dict(kind="docs", docs=[1], chunk=24, shared=False, steps=1500, batch=64, lr=2e-3, until=0.95),
    dict(kind="docs", docs=[2], chunk=24, shared=False, steps=1500, batch=48, lr=2e-3, until=0.93),
    dict(kind="docs", docs=[2], chunk=24, shared=True, steps=4000, batch=48, lr=2e-3, until=0.90),
    dict(kind="docs", docs=[3], chunk=CHUNK, shared=True, steps=1000, batch=32, lr=2e-3, until=0.90),
    dict(kind="docs", docs=[3, 2, 3, 1], chunk=CHUNK, shared=True, steps=400, batch=32, lr=1.5e-3, end=2e-5),
]

# ---------------------------------------------------------------- data


def distinct(rng, rows, n, k):
    """rows x k distinct numbers below n."""
    return np.argsort(rng.random((rows, n)), axis=1)[:, :k]


def chunk_tokens(rng, rows, length, entity, attributes, values):
    """rows chunks of `length` tokens: start, [entity], two (attribute, value) pairs at random places in filler."""
    head = [np.full((rows, 1), START)]
    if entity is not None:
        head.append(entity[:, None])
    head = np.concatenate(head, axis=1)
    room = length - head.shape[1]
    body = rng.integers(FILLER0, FILLER0 + FILLERS, (rows, room))
    places = np.sort(distinct(rng, rows, room - 2, 2), axis=1)  # items: fillers and pairs
    r = np.arange(rows)
    for j in range(2):
        p = places[:, j] + j
        body[r, p] = ATTRIBUTE0 + attributes[:, j]
        body[r, p + 1] = VALUE0 + values[:, j]
    return np.concatenate([head, body], axis=1)


def prompts(rng, rows, docs, shared, chunk=CHUNK):
    """Returns chunks [rows, 2*docs, chunk], questions [rows, 4*docs, 3], answers [rows, 4*docs], second [4*docs]."""
    entities = ENTITY0 + distinct(rng, rows, ENTITIES, docs)
    values = distinct(rng, rows, VALUES, 4 * docs)
    if shared:
        one = distinct(rng, rows, ATTRIBUTES, 4)
        attributes = np.repeat(one[:, None, :], docs, axis=1)
    else:
        attributes = distinct(rng, rows, ATTRIBUTES, 4 * docs).reshape(rows, docs, 4)
    chunks, questions, answers = [], [], []
    for d in range(docs):
        a, v = attributes[:, d].copy(), values[:, 4 * d:4 * d + 4]
        for c in range(2):  # the order inside a chunk is each document's own
            flip = rng.random(rows) < 0.5
            a[flip, 2 * c:2 * c + 2] = a[flip, 2 * c:2 * c + 2][:, ::-1]
        chunks.append(chunk_tokens(rng, rows, chunk, entities[:, d], a[:, :2], v[:, :2]))
        chunks.append(chunk_tokens(rng, rows, chunk, None, a[:, 2:], v[:, 2:]))
        for j in range(4):
            questions.append(np.stack([np.full(rows, ASK), entities[:, d], ATTRIBUTE0 + a[:, j]], axis=1))
            answers.append(VALUE0 + v[:, j])
    second = np.tile(np.array([0, 0, 1, 1]), docs)
    return np.stack(chunks, 1), np.stack(questions, 1), np.stack(answers, 1), second


class Layout:
    """Positions, mask and answer places of one kind of batch."""

    def __init__(self, stage, docs):
        if stage["kind"] == "copy":
            n = 32
            self.size = 2 * n
            self.positions = np.arange(2 * n)
            self.mask = np.tril(np.ones((2 * n, 2 * n), bool))
            self.at = np.arange(n - 1, 2 * n - 1)
            self.cross = np.zeros((2 * n, 2 * n), np.float32)
            self.second = np.zeros(n, int)
        else:
            n = 2 * docs * stage["chunk"]
            q = 4 * docs
            self.size = n + 3 * q
            self.positions = np.concatenate([np.arange(n), np.tile(np.arange(n, n + 3), q)])
            branch = np.concatenate([np.full(n, -1), np.repeat(np.arange(q), 3)])
            causal = np.tril(np.ones((self.size, self.size), bool))
            self.mask = causal & ((branch[None, :] == -1) | (branch[None, :] == branch[:, None]))
            self.at = n + 3 * np.arange(q) + 2
            owner = np.concatenate([np.repeat(np.arange(2 * docs), stage["chunk"]), np.full(3 * q, -1)])
            both = (owner[:, None] >= 0) & (owner[None, :] >= 0)
            self.cross = (both & (owner[:, None] != owner[None, :])).astype(np.float32) / n
            self.second = np.tile(np.array([0, 0, 1, 1]), docs)


def batch(rng, stage, docs, rows):
    if stage["kind"] == "copy":
        half = rng.integers(8, VOCAB, (rows, 32))
        return np.concatenate([half, half], axis=1).astype(np.int32), half.astype(np.int32)
    c, q, a, _ = prompts(rng, rows, docs, stage["shared"], stage["chunk"])
    tokens = np.concatenate([c.reshape(rows, -1), q.reshape(rows, -1)], axis=1)
    return tokens.astype(np.int32), a.astype(np.int32)


# ---------------------------------------------------------------- model (weights as [layer, in, out])


def new_weights(seed):
    rng = np.random.default_rng(seed)

    def matrix(i, o, scale=1.0):
        return (rng.standard_normal((LAYERS, i, o)) * scale / np.sqrt(i)).astype(np.float32)

    out = 1 / np.sqrt(2 * LAYERS)
    return {
        "embed": (rng.standard_normal((VOCAB, WIDTH)) * 0.05).astype(np.float32),
        "q": matrix(WIDTH, HEADS * HEAD_DIM), "k": matrix(WIDTH, KV_HEADS * HEAD_DIM),
        "v": matrix(WIDTH, KV_HEADS * HEAD_DIM), "o": matrix(HEADS * HEAD_DIM, WIDTH, out),
        "gate": matrix(WIDTH, FFN), "up": matrix(WIDTH, FFN), "down": matrix(FFN, WIDTH, out),
        "norm1": np.ones((LAYERS, WIDTH), np.float32), "norm2": np.ones((LAYERS, WIDTH), np.float32),
        "norm": np.ones(WIDTH, np.float32),
    }


def rms(x, g):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPS) * g


def rotate(x, cos, sin):  # half-split pairing; x [B, S, H, D]
    a, b = jnp.split(x, 2, -1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def forward(w, tokens, layout):
    """Logits at the answer places, and per layer the mean attention mass that a chunk token gives to other chunks."""
    B, S = tokens.shape
    angle = layout.positions[:, None] * ROPE_BASE ** (-np.arange(HEAD_DIM // 2) * 2.0 / HEAD_DIM)[None]
    cos = jnp.asarray(np.cos(angle), jnp.float32)[None, :, None, :]
    sin = jnp.asarray(np.sin(angle), jnp.float32)[None, :, None, :]
    bias = jnp.asarray(np.where(layout.mask, 0.0, -1e9), jnp.float32)
    x = w["embed"][tokens]
    crossed = []
    for l in range(LAYERS):
        # of the last layer only the rows of the answer places are needed (and the keys and values of all)
        rows = layout.at if l == LAYERS - 1 else np.arange(S)
        R = len(rows)
        h = rms(x, w["norm1"][l])
        q = rotate((h[:, rows] @ w["q"][l]).reshape(B, R, HEADS, HEAD_DIM), cos[:, rows], sin[:, rows])
        k = rotate((h @ w["k"][l]).reshape(B, S, KV_HEADS, HEAD_DIM), cos, sin)
        v = (h @ w["v"][l]).reshape(B, S, KV_HEADS, HEAD_DIM)
        g = HEADS // KV_HEADS
        q = q.reshape(B, R, KV_HEADS, g, HEAD_DIM).transpose(0, 2, 3, 1, 4).reshape(B, KV_HEADS, g * R, HEAD_DIM)
        k, v = k.transpose(0, 2, 1, 3), v.transpose(0, 2, 1, 3)
        s = jnp.einsum("bhqd,bhkd->bhqk", q, k) / np.sqrt(HEAD_DIM)
        p = jax.nn.softmax(s.reshape(B, KV_HEADS, g, R, S) + bias[rows], -1)
        if R == S:
            crossed.append(jnp.sum(jnp.mean(p, (0, 1, 2)) * layout.cross))
        a = jnp.einsum("bhqk,bhkd->bhqd", p.reshape(B, KV_HEADS, g * R, S), v)
        a = a.reshape(B, KV_HEADS, g, R, HEAD_DIM).transpose(0, 3, 1, 2, 4).reshape(B, R, HEADS * HEAD_DIM)
        x = x[:, rows] + a @ w["o"][l]
        h = rms(x, w["norm2"][l])
        x = x + (jax.nn.silu(h @ w["gate"][l]) * (h @ w["up"][l])) @ w["down"][l]
    return rms(x, w["norm"]) @ w["embed"].T, jnp.stack(crossed)


# ---------------------------------------------------------------- optimiser: Muon for matrices, Adam for the rest

MATRICES = ("q", "k", "v", "o", "gate", "up", "down")


def orthogonal(g):
    """Five Newton-Schulz steps towards the nearest semi-orthogonal matrix, over [layer, in, out]."""
    flip = g.shape[1] > g.shape[2]
    x = g.transpose(0, 2, 1) if flip else g
    x = x / (jnp.linalg.norm(x, axis=(1, 2), keepdims=True) + 1e-7)
    for _ in range(5):
        a = x @ x.transpose(0, 2, 1)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.transpose(0, 2, 1) if flip else x


def update(w, g, m, v, t, lr, muon=True):
    norm = jnp.sqrt(sum(jnp.sum(x * x) for x in g.values()))
    g = {k: x * jnp.minimum(1.0, 1.0 / (norm + 1e-9)) for k, x in g.items()}
    out, m2, v2 = {}, {}, {}
    for k in w:
        if muon and k in MATRICES:
            m2[k] = 0.95 * m[k] + g[k]
            v2[k] = v[k]
            step = orthogonal(g[k] + 0.95 * m2[k]) * 0.2 * np.sqrt(max(w[k].shape[1:]))
            out[k] = w[k] * (1 - 0.01 * lr) - lr * step
        else:
            m2[k] = 0.9 * m[k] + 0.1 * g[k]
            v2[k] = 0.98 * v[k] + 0.02 * g[k] ** 2
            out[k] = w[k] - lr * (m2[k] / (1 - 0.9 ** t)) / (jnp.sqrt(v2[k] / (1 - 0.98 ** t)) + 1e-8)
    return out, m2, v2


def make_step(layout, muon):
    def loss_of(w, tokens, answers):
        logits, _ = forward(w, tokens, layout)
        nll = -jnp.take_along_axis(jax.nn.log_softmax(logits), answers[..., None], -1)[..., 0]
        return jnp.mean(nll)

    def step(w, m, v, t, lr, tokens, answers):
        loss, g = jax.value_and_grad(loss_of)(w, tokens, answers)
        w, m, v = update(w, g, m, v, t, lr, muon)
        return w, m, v, loss

    return jax.jit(step, donate_argnums=(0, 1, 2))


# ---------------------------------------------------------------- files


def hf_tensors(w):
    w = {k: np.asarray(x, np.float32) for k, x in w.items()}
    out = {"model.embed_tokens.weight": w["embed"], "model.norm.weight": w["norm"]}
    names = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
             "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
    for l in range(LAYERS):
        for k, name in names.items():
            out[f"model.layers.{l}.{name}.weight"] = np.ascontiguousarray(w[k][l].T)
        out[f"model.layers.{l}.input_layernorm.weight"] = w["norm1"][l]
        out[f"model.layers.{l}.post_attention_layernorm.weight"] = w["norm2"][l]
    return out


def from_hf(path):
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
        data = f.read()
    t = {k: np.frombuffer(data[e["data_offsets"][0]:e["data_offsets"][1]], np.float32).reshape(e["shape"])
         for k, e in header.items() if k != "__metadata__"}

    def stack(name, transpose=True):
        x = [t[f"model.layers.{l}.{name}.weight"] for l in range(LAYERS)]
        return np.stack([y.T if transpose else y for y in x])

    return {"embed": t["model.embed_tokens.weight"], "norm": t["model.norm.weight"],
            "q": stack("self_attn.q_proj"), "k": stack("self_attn.k_proj"), "v": stack("self_attn.v_proj"),
            "o": stack("self_attn.o_proj"), "gate": stack("mlp.gate_proj"), "up": stack("mlp.up_proj"),
            "down": stack("mlp.down_proj"), "norm1": stack("input_layernorm", False),
            "norm2": stack("post_attention_layernorm", False)}


def save(w, folder):
    """config.json and model.safetensors, each replaced in one rename."""
    os.makedirs(folder, exist_ok=True)
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, x in sorted(hf_tensors(w).items()):
        b = x.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [at, at + len(b)]}
        blobs.append(b)
        at += len(b)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
        "intermediate_size": FFN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "vocab_size": VOCAB, "rms_norm_eps": EPS,
        "rope_theta": ROPE_BASE, "max_position_embeddings": MAX_POSITIONS, "tie_word_embeddings": True,
        "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "torch_dtype": "float32",
        "bos_token_id": None, "eos_token_id": None,
    }
    for name, data in (("model.safetensors", struct.pack("<Q", len(head)) + head + b"".join(blobs)),
                       ("config.json", (json.dumps(config, indent=1) + "\n").encode())):
        with open(os.path.join(folder, name + ".tmp"), "wb") as f:
            f.write(data)
        os.replace(os.path.join(folder, name + ".tmp"), os.path.join(folder, name))


def write_questions(path, count=400):
    """One question per prompt, half about first and half about second chunks (by chance), from QUESTION_SEED."""
    rng = np.random.default_rng(QUESTION_SEED)
    c, q, a, second = prompts(rng, count, DOCS, True)
    pick = rng.integers(0, len(second), count)
    with open(path, "w") as f:
        for i, p in enumerate(pick):
            f.write(json.dumps({"chunks": c[i].tolist(), "question": q[i, p].tolist(), "answer": int(a[i, p]),
                                "needs": "other chunk" if second[p] else "own chunk"}) + "\n")


# ---------------------------------------------------------------- training


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", default="out")
    ap.add_argument("--from-stage", type=int, default=0)
    ap.add_argument("--to-stage", type=int, default=len(STAGES))
    ap.add_argument("--init", help="folder with the checkpoint to continue from")
    ap.add_argument("--adam", action="store_true", help="Adam for everything (comparison)")
    ap.add_argument("--questions-only", action="store_true")
    args = ap.parse_args()
    os.makedirs(args.out, exist_ok=True)
    write_questions(os.path.join(args.out, "questions.jsonl"))
    if args.questions_only:
        return
    w = from_hf(os.path.join(args.init, "model.safetensors")) if args.init else new_weights(SEED)
    w = {k: jnp.asarray(x) for k, x in w.items()}
    begin = time.time()
    for number in range(args.from_stage, args.to_stage):
        stage = STAGES[number]
        kinds = stage.get("docs", [0])
        layouts = {d: Layout(stage, d) for d in kinds}
        steps = {d: make_step(layouts[d], not args.adam) for d in layouts}
        layout = layouts[kinds[0]]
        look = jax.jit(lambda w, t: forward(w, t, layout))
        held = batch(np.random.default_rng(HELD_OUT_SEED + number), stage, kinds[0], 256)
        rng = np.random.default_rng([SEED, number])
        m = {k: jnp.zeros_like(x) for k, x in w.items()}
        v = {k: jnp.zeros_like(x) for k, x in w.items()}
        print(f"stage {number}: {stage}", flush=True)
        losses = []
        start = time.time()
        for t in range(1, stage["steps"] + 1):
            lr = stage["lr"] * min(1.0, t / 50)
            if "end" in stage:
                lr = stage["end"] + (lr - stage["end"]) * 0.5 * (1 + np.cos(np.pi * t / stage["steps"]))
            docs = kinds[t % len(kinds)]
            tokens, answers = batch(rng, stage, docs, stage["batch"])
            w, m, v, loss = steps[docs](w, m, v, float(t), lr, tokens, answers)
            losses.append(loss)
            if t % 100 == 0 or t == stage["steps"]:
                logits, crossed = look(w, held[0])
                right = np.asarray(logits).argmax(-1) == held[1]
                first, second = right[:, layout.second == 0].mean(), None
                if layout.second.any():
                    second = right[:, layout.second == 1].mean()
                print(f"  {number}.{t} loss {np.mean([float(x) for x in losses[-100:]]):.4f} first {first:.3f}"
                      + (f" second {second:.3f}" if second is not None else "")
                      + " cross " + " ".join(f"{float(x):.2f}" for x in crossed)
                      + f" | {(time.time() - start) / t * 1000:.0f} ms/step, {time.time() - begin:.0f} s", flush=True)
                save(w, args.out)
                if min(first, second if second is not None else 1.0) >= stage.get("until", 2.0):
                    break
        save(w, args.out)
        save(w, os.path.join(args.out, f"stage{number}"))
    print(f"done in {time.time() - begin:.0f} s")


if __name__ == "__main__":
    main()
