"""Conversations as prompts. Templates in files are programs (Jinja); they are never run. The formats that models use are written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from flambeau.base.errors import ArgumentError, explain
from flambeau_text.tokenize import Tokenizer

Message = Mapping[str, str]
_ROLES = ("system", "user", "assistant")


def _chatml(messages: Sequence[Message], prompt: bool) -> str:
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return text + ("<|im_start|>assistant\n" if prompt else "")


def _llama3(messages: Sequence[Message], prompt: bool) -> str:
    parts = [f"<|start_header_id|>{m['role']}<|end_header_id|>\n\n{m['content'].strip()}<|eot_id|>" for m in messages]
    return "<|begin_of_text|>" + "".join(parts) + ("<|start_header_id|>assistant<|end_header_id|>\n\n" if prompt else "")


def _inst(messages: Sequence[Message], prompt: bool) -> str:
    """Llama 2 and Mistral: a system message is put into the first question."""
    system = ""
    text = "<s>"
    for message in messages:
        content = message["content"].strip()
        if message["role"] == "system":
            system = f"<<SYS>>\n{content}\n<</SYS>>\n\n"
        elif message["role"] == "user":
            text += f"[INST] {system}{content} [/INST]"
            system = ""
        else:
            text += f" {content}</s>"
    return text


def _plain(messages: Sequence[Message], prompt: bool) -> str:
    text = "".join(f"{m['role'].capitalize()}: {m['content']}\n" for m in messages)
    return text + ("Assistant:" if prompt else "")


# The format, and a piece of a Jinja template by which a file that uses it is known.
FORMATS: dict[str, tuple[Callable[[Sequence[Message], bool], str], str]] = {
    "chatml": (_chatml, "<|im_start|>"),
    "llama3": (_llama3, "<|start_header_id|>"),
    "inst": (_inst, "[INST]"),
    "plain": (_plain, "\0"),
}


def apply_chat_template(
    tokenizer: Tokenizer, messages: Sequence[Message], *, style: str | None = None, add_generation_prompt: bool = True
) -> str:
    """A conversation as the text that a chat model continues.

    Args:
        tokenizer: its `chat_template` says which known format the model uses; the template itself is not executed.
        messages: [{"role": "system" | "user" | "assistant", "content": text}, ...].
        style: "chatml", "llama3", "inst" or "plain", instead of the tokenizer's.
        add_generation_prompt: end with the beginning of an answer.

    Special tokens inside the messages would be read as such: contents that hold one are refused with ArgumentError.
    """
    name = style or detect(tokenizer.config.get("chat_template"))
    if name not in FORMATS:
        raise ArgumentError(explain("chat template", expected=f"a style of {', '.join(FORMATS)}", got=repr(name)))
    special = {*tokenizer.special.values(), *tokenizer.special_tokens}
    markers = {
        *(token for token in special if len(token) > 1),
        "<<SYS>>",
        "<</SYS>>",
        *(marker for _, marker in FORMATS.values() if marker != "\0"),
        "<|im_end|>",
        "<|eot_id|>",
        "[/INST]",
    }
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in _ROLES or not isinstance(message.get("content"), str):
            raise ArgumentError(
                explain("chat template", expected=f"messages with a role of {_ROLES} and a content", got=repr(message)[:80])
            )
        inside = next((marker for marker in markers if marker in message["content"]), None)
        if inside is not None:
            raise ArgumentError(explain("chat template", expected="contents without special tokens", got=repr(inside)))
    return FORMATS[name][0](messages, add_generation_prompt)


def detect(template: object) -> str:
    """The known format of a Jinja template. Raises ArgumentError for others, which are programs and are not run."""
    if template is None:
        return "plain"
    if isinstance(template, str):
        for name, (_, marker) in FORMATS.items():
            if marker in template:
                return name
    hint = f"style= one of {', '.join(FORMATS)}"
    raise ArgumentError(
        explain("chat template", expected="the template of a known format", got="another, which is not executed", hint=hint)
    )
