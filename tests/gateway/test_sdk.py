"""The Python clients of OpenAI and Anthropic through the gateway, unchanged but for their base address."""

import os
import unittest

import anthropic
import openai

GATEWAY = os.environ["BRIGHTLINE_GATEWAY"]
FINE = "All is well — 日本 😀."
REDACTED = "Write to [email], or call — 日本 😀."
REFUSAL = "That stays unsaid."


def user(text):
    return [{"role": "user", "content": text}]


class Chat(unittest.TestCase):
    client = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key="sk-test", max_retries=0)

    def ask(self, text, **more):
        return self.client.chat.completions.create(model="m", messages=user(text), **more)

    def stream(self, text):
        with self.client.chat.completions.stream(model="m", messages=user(text)) as stream:
            for _ in stream:
                pass
            return stream

    def test_whole(self):
        self.assertEqual(self.ask("hello").choices[0].message.content, FINE)
        self.assertEqual(self.ask("an address").choices[0].message.content, REDACTED)
        for text in ("blocked", "the azure lantern"):
            choice = self.ask(text).choices[0]
            self.assertEqual((choice.message.content, choice.message.refusal), (None, REFUSAL))
            self.assertEqual(choice.finish_reason, "content_filter")

    def test_verdict(self):
        raw = self.client.chat.completions.with_raw_response.create(model="m", messages=user("the azure lantern"))
        self.assertEqual(raw.headers["x-brightline-action"], "block")
        self.assertEqual(raw.headers["x-brightline-clauses"], "unsaid")
        extension = raw.parse().model_extra["brightline"]
        self.assertEqual(extension["request"][0]["findings"][0]["clause"], "unsaid")

    def test_tools(self):
        call = self.ask("give me a tool").choices[0].message.tool_calls[0]
        self.assertEqual((call.function.name, call.function.arguments), ("look", '{"at": "[email]"}'))
        choice = self.ask("lever").choices[0]
        self.assertEqual((choice.message.tool_calls, choice.finish_reason), (None, "content_filter"))

    def test_stream(self):
        completion = self.stream("hello").get_final_completion()
        self.assertEqual(completion.choices[0].message.content, FINE)
        self.assertEqual(completion.choices[0].finish_reason, "stop")
        completion = self.stream("an address").get_final_completion()
        self.assertEqual(completion.choices[0].message.content, REDACTED)
        completion = self.stream("give me a tool").get_final_completion()
        call = completion.choices[0].message.tool_calls[0]
        self.assertEqual((call.function.name, call.function.arguments), ("look", '{"at": "[email]"}'))
        for text in ("blocked", "lever", "the azure lantern"):
            chunks = list(self.ask(text, stream=True))
            self.assertEqual(chunks[-1].choices[0].finish_reason if chunks[-1].choices else "", "content_filter")
            deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
            self.assertTrue("".join(delta.refusal or "" for delta in deltas))
            self.assertNotIn("azure", "".join(delta.content or "" for delta in deltas))
            self.assertFalse(any(delta.tool_calls for delta in deltas))

    def test_errors(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(model="m", messages=[])
        self.assertEqual((caught.exception.param, caught.exception.code), ("messages", "invalid_request"))
        with self.assertRaises(openai.NotFoundError):
            self.client.embeddings.create(model="m", input="hello")

    def test_models(self):
        self.assertEqual([model.id for model in self.client.models.list()], ["m"])


class Responses(unittest.TestCase):
    client = Chat.client

    def ask(self, text):
        return self.client.responses.create(model="m", input=text)

    def test_whole(self):
        self.assertEqual(self.ask("hello").output_text, FINE)
        self.assertEqual(self.ask("an address").output_text, REDACTED)
        for text in ("blocked", "lever", "the azure lantern"):
            response = self.ask(text)
            self.assertEqual((response.status, response.output_text), ("completed", ""))
            self.assertEqual(response.output[0].content[0].type, "refusal")

    def test_stream(self):
        for text, wanted in (("hello", FINE), ("an address", REDACTED)):
            with self.client.responses.stream(model="m", input=text) as stream:
                deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
                self.assertEqual("".join(deltas), wanted)
                self.assertEqual(stream.get_final_response().output_text, wanted)
        with self.client.responses.stream(model="m", input="give me a tool") as stream:
            for _ in stream:
                pass
            self.assertEqual(stream.get_final_response().output[1].arguments, '{"at": "[email]"}')
        for text in ("blocked", "lever", "the azure lantern"):
            with self.client.responses.stream(model="m", input=text) as stream:
                seen = "".join(repr(event) for event in stream)
                self.assertNotIn("azure", seen)
                self.assertNotIn("pull_lever", seen)
                last = stream.get_final_response().output[-1]
                self.assertEqual(last.content[0].type, "refusal")


class Moderations(unittest.TestCase):
    def test_unchanged(self):
        moderation = Chat.client.moderations.create(input=["hello", "the azure lantern"])
        self.assertEqual([result.flagged for result in moderation.results], [False, True])
        self.assertFalse(moderation.results[0].categories.harassment_threatening)
        self.assertEqual(moderation.results[0].category_scores.self_harm, 0.0)
        parts = [{"type": "text", "text": "the azure lantern"}]
        self.assertTrue(Chat.client.moderations.create(model="omni-moderation-latest", input=parts).results[0].flagged)


class Messages(unittest.TestCase):
    client = anthropic.Anthropic(base_url=GATEWAY, api_key="sk-ant-test", max_retries=0)

    def ask(self, text):
        return self.client.messages.create(model="m", max_tokens=64, messages=user(text))

    def test_whole(self):
        self.assertEqual(self.ask("hello").content[0].text, FINE)
        self.assertEqual(self.ask("an address").content[0].text, REDACTED)
        for text in ("blocked", "the azure lantern"):
            message = self.ask(text)
            self.assertEqual((message.stop_reason, message.content[0].text), ("refusal", REFUSAL))
        self.assertEqual(self.ask("lever").stop_reason, "refusal")
        self.assertEqual(self.ask("give me a tool").content[1].input, {"at": "[email]"})

    def test_stream(self):
        def stream(text):
            with self.client.messages.stream(model="m", max_tokens=64, messages=user(text)) as stream:
                shown = "".join(stream.text_stream)
                return shown, stream.get_final_message()

        for text, wanted in (("hello", FINE), ("an address", REDACTED)):
            shown, message = stream(text)
            self.assertEqual((shown, message.stop_reason), (wanted, "end_turn"))
        _, message = stream("give me a tool")
        self.assertEqual((message.content[1].name, message.content[1].input), ("look", {"at": "[email]"}))
        for text in ("blocked", "lever", "the azure lantern"):
            shown, message = stream(text)
            self.assertNotIn("azure", shown)
            self.assertEqual(message.stop_reason, "refusal")
            self.assertFalse(any(block.type == "tool_use" for block in message.content))

    def test_errors(self):
        with self.assertRaises(anthropic.BadRequestError):
            self.client.messages.create(model="m", max_tokens=1, messages=[])


if __name__ == "__main__":
    unittest.main()
