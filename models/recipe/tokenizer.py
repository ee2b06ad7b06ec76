"""Writes `models/tokenizer.json`: the base model's lowercase WordPiece, without padding or truncation."""

from __future__ import annotations

from tokenizers import Tokenizer

from common import MODELS
from model import base_folder


def main() -> None:
    tokenizer = Tokenizer.from_file(str(base_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(MODELS / "tokenizer.json"), pretty=False)


if __name__ == "__main__":
    main()
