"""Makes the models of the tests: a vocabulary of a few words, and tables that say what each word means.

Needs blake3, numpy, onnx and safetensors. The files are committed, so that the tests need no Python.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from blake3 import blake3
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
LABELS = """violent_crime nonviolent_crime sexual_crime child_exploitation weapons_cbrn weapons_conventional cyber_abuse
self_harm hate harassment sexual_content privacy misinformation specialized_advice critical_infrastructure power_seizure
prompt_injection jailbreak system_prompt_extraction tool_abuse refusal harmful_compliance unsafe""".split()
WORDS = """[PAD] [UNK] [CLS] [SEP] request response call result : . , a the is to for of in me you tell about please make
cook bread soup salad fish rice bomb knife dagger gun ignore previous instructions sorry cannot help
how can i do this what who river tree house garden car train ##s ##ing""".split()
ID = {word: index for index, word in enumerate(WORDS)}
assert len(ID) == len(WORDS)
LABEL = {label: index for index, label in enumerate(LABELS)}
# What each tier says of a word: (label, logit). Everything else is -8. `knife` and `dagger` are open to the screen.
FULL = [
    ("bomb", "weapons_conventional", 8), ("bomb", "unsafe", 8), ("gun", "weapons_conventional", 1),
    ("knife", "weapons_conventional", -6), ("dagger", "weapons_conventional", 6), ("dagger", "unsafe", 6),
    ("ignore", "prompt_injection", 7), ("sorry", "refusal", 7), ("cannot", "refusal", 0),
]  # fmt: skip
SCREEN = [
    ("bomb", "weapons_conventional", 8), ("bomb", "unsafe", 8), ("gun", "weapons_conventional", 1),
    ("knife", "weapons_conventional", 0), ("dagger", "weapons_conventional", 0),
    ("ignore", "prompt_injection", 7), ("sorry", "refusal", 7), ("cannot", "refusal", 0),
]  # fmt: skip
# Words with something in common, for what is fitted to embeddings.
FOOD, PLACES = "bread soup salad fish rice cook".split(), "river tree house garden car train".split()
WIDTH = len(LABELS)


def table(rows: list[tuple[str, str, int]]) -> np.ndarray:
    out = np.full((len(WORDS), len(LABELS)), -8, dtype=np.float32)
    for word, label, logit in rows:
        out[ID[word], LABEL[label]] = logit
    return out


def screen() -> None:
    # The value of a word for a label, from 0 for -8 to 16 for 8; the maximum over tokens is read back as the logit.
    values = table(SCREEN) + 8
    zeros = np.zeros
    identity = np.concatenate([zeros((WIDTH, WIDTH)), np.eye(WIDTH)], axis=1).astype(np.float32)
    save_file(
        {
            "unigram": values.astype(np.int8), "unigram.scale": np.ones(len(WORDS), dtype=np.float32),
            "bigram": zeros((16, WIDTH), dtype=np.int8), "bigram.scale": np.ones(16, dtype=np.float32),
            "gate": zeros(WIDTH, dtype=np.float32), "gate.bias": np.full(1, 30, dtype=np.float32),
            "hidden.weight": identity, "hidden.bias": zeros(WIDTH, dtype=np.float32),
            "out.weight": np.eye(WIDTH, dtype=np.float32), "out.bias": np.full(WIDTH, -8, dtype=np.float32),
        },
        HERE / "screen.safetensors",
    )  # fmt: skip


def full() -> None:
    rng = np.random.default_rng(7)
    dimensions = 8
    embedding = rng.normal(size=(len(WORDS), dimensions)).astype(np.float32)
    embedding[[ID[word] for word in FOOD], 0] += 3
    embedding[[ID[word] for word in PLACES], 0] -= 3
    constants = {
        "logit_table": table(FULL), "embedding_table": embedding, "one": np.array(1, dtype=np.float32),
        "far": np.array(-1000, dtype=np.float32), "middle": np.array([1]), "last": np.array([-1]),
        "small": np.array(1e-12, dtype=np.float32),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "last"], ["wide"]),
        node("Sub", ["one", "wide"], ["absent"]),
        node("Mul", ["absent", "far"], ["bias"]),
        node("Gather", ["logit_table", "input_ids"], ["values"]),
        node("Add", ["values", "bias"], ["kept"]),
        node("ReduceMax", ["kept", "middle"], ["logits"], keepdims=0),
        node("Gather", ["embedding_table", "input_ids"], ["vectors"]),
        node("Mul", ["vectors", "wide"], ["present"]),
        node("ReduceSum", ["present", "middle"], ["sum"], keepdims=0),
        node("Mul", ["sum", "sum"], ["squares"]),
        node("ReduceSum", ["squares", "last"], ["square"], keepdims=1),
        node("Add", ["square", "small"], ["safe"]),
        node("Sqrt", ["safe"], ["length"]),
        node("Div", ["sum", "length"], ["embedding"]),
    ]
    ints = lambda name: helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
    floats = lambda name, size: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
    graph = helper.make_graph(
        nodes, "test", [ints("input_ids"), ints("attention_mask")],
        [floats("logits", len(LABELS)), floats("embedding", dimensions)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, HERE / "full.onnx")


def write(name: str, value: object) -> None:
    (HERE / name).write_text(json.dumps(value, indent=1) + "\n")


def tokenizer() -> None:
    special = [
        {"id": ID[w], "content": w, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for w in ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    ]  # fmt: skip
    write("tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": ID},
    })  # fmt: skip


def calibration() -> None:
    scales = {label: {"a": 1.0, "b": 0.0} for label in LABELS}
    points = lambda shift: [
        {"fpr": 0.05, "threshold": 0.3 + shift, "recall": 0.99, "benign": 1000},
        {"fpr": 0.01, "threshold": 0.5 + shift, "recall": 0.9, "benign": 1000},
        {"fpr": 0.001, "threshold": 0.9, "recall": 0.7, "benign": 1000},
    ]
    write("calibration.json", {
        "full": scales, "screen": scales, "cascade": {"low": 0.2, "high": 0.8},
        "operating_points": {label: {"request": points(0), "response": points(0.1), "any": points(0.05)} for label in LABELS},
    })  # fmt: skip


def manifest() -> None:
    names = {
        "screen": "screen.safetensors",
        "full": "full.onnx",
        "tokenizer": "tokenizer.json",
        "calibration": "calibration.json",
    }

    def entry(name: str) -> dict:
        data = (HERE / name).read_bytes()
        return {"path": name, "bytes": len(data), "blake3": blake3(data).hexdigest()}

    write("manifest.json", {
        "name": "test", "version": "1", "labels": LABELS, "files": {key: entry(name) for key, name in names.items()},
        "window": {"tokens": 16, "overlap": 4, "context": 4},
        "prefixes": {"request": "request:", "response": "response:", "tool_call": "call:", "tool_result": "result:"},
        "measured": {"tokens": 200, "unknown": 0.5},
    })  # fmt: skip


if __name__ == "__main__":
    screen(), full(), tokenizer(), calibration(), manifest()
