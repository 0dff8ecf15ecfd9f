"""What a client asks for becomes the texts that are written."""

from typing import Any

import pytest
from msgspec import convert

from agents.parts.generation.errors import BadRequest
from agents.petals.api.asked import chat, completions
from agents.petals.api.bodies import ChatBody, CompletionBody
from agents.petals.api.errors import ApiError


def completion(**parameters: Any) -> CompletionBody:
    return convert({"model": "m", "prompt": "p", **parameters}, CompletionBody)


def conversation(*messages: tuple[str, Any], **parameters: Any) -> ChatBody:
    said = [{"role": role, "content": content} for role, content in messages]
    return convert({"model": "m", "messages": said, **parameters}, ChatBody)


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("a", ["a"]),
        (None, [""]),
        ("", [""]),
        ([""], [""]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([0], [[0]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        ([[]], [[]]),
    ],
)
def test_a_prompt_is_a_text_or_tokens_or_several(prompt: Any, prompts: list[Any]) -> None:
    assert [request.prompt for request in completions(completion(prompt=prompt))] == prompts


@pytest.mark.parametrize("prompt", [[], ["a", 1], ["a", [1]], [1, [1]], ["a"] * 17])
def test_other_prompts_are_refused(prompt: Any) -> None:
    with pytest.raises(ApiError) as caught:
        completions(completion(prompt=prompt))
    assert caught.value.param == "prompt"


def test_what_is_left_out_is_as_openai_has_it() -> None:
    (request,) = completions(completion())

    assert (request.length, request.sampling.temperature, request.sampling.top_p, list(request.stops)) == (16, 1.0, 1.0, [])


def test_without_a_seed_each_text_has_its_own() -> None:
    seeds = {completions(completion())[0].sampling.seed for _ in range(8)}

    assert len(seeds) > 1
    assert completions(completion(seed=7))[0].sampling.seed == 7


def test_a_conversation_is_a_plain_text_that_the_assistant_goes_on_with() -> None:
    body = conversation(
        ("system", "Be brief."),
        ("user", [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]),
        ("assistant", "Hi."),
        ("developer", "In German."),
        ("user", "Bye"),
    )

    request = chat(body, 128)

    assert request.prompt == "System: Be brief.\n\nUser: Hello\n\nAssistant: Hi.\n\nSystem: In German.\n\nUser: Bye\n\nAssistant:"
    assert (request.stops, request.length) == (["\n\nUser:"], 128)


def test_a_chat_has_stops_and_a_length_of_its_own_too() -> None:
    request = chat(conversation(("user", "a"), stop="\n", max_completion_tokens=5), 128)

    assert (request.stops, request.length) == (["\n", "\n\nUser:"], 5)
    assert chat(conversation(("user", "a"), max_tokens=6), 128).length == 6


def test_a_length_is_named_once() -> None:
    with pytest.raises(ApiError, match="old name"):
        chat(conversation(("user", "a"), max_tokens=6, max_completion_tokens=6), 128)


def test_only_text_is_read() -> None:
    with pytest.raises(ApiError, match="image_url"):
        chat(conversation(("user", [{"type": "image_url", "image_url": {"url": "data:"}}])), 128)


def test_a_prompt_beyond_its_bound_is_refused() -> None:
    with pytest.raises(BadRequest, match="1048577 bytes"):
        completions(completion(prompt="a" * ((1 << 20) + 1)))
