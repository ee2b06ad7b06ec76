// OpenAI's client for Node through the gateway, unchanged but for its base address.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.env.BRIGHTLINE_GATEWAY}/v1`, apiKey: "sk-test", maxRetries: 0 });
const FINE = "All is well — 日本 😀.";
const REDACTED = "Write to [email], or call — 日本 😀.";
const REFUSAL = "That stays unsaid.";
const user = (content) => [{ role: "user", content }];

test("chat, whole", async () => {
  const ask = async (text) =>
    (await client.chat.completions.create({ model: "m", messages: user(text) })).choices[0];
  assert.equal((await ask("hello")).message.content, FINE);
  assert.equal((await ask("an address")).message.content, REDACTED);
  for (const text of ["blocked", "the azure lantern"]) {
    const choice = await ask(text);
    assert.equal(choice.message.refusal, REFUSAL);
    assert.equal(choice.finish_reason, "content_filter");
  }
  assert.equal((await ask("give me a tool")).message.tool_calls[0].function.arguments, '{"at": "[email]"}');
});

test("chat, streamed", async () => {
  const stream = async (text) => {
    let shown = "";
    let reason = null;
    let calls = 0;
    for await (const chunk of await client.chat.completions.create({ model: "m", messages: user(text), stream: true })) {
      shown += chunk.choices[0]?.delta.content ?? "";
      calls += chunk.choices[0]?.delta.tool_calls?.length ?? 0;
      reason = chunk.choices[0]?.finish_reason ?? reason;
    }
    return { shown, reason, calls };
  };
  assert.deepEqual(await stream("hello"), { shown: FINE, reason: "stop", calls: 0 });
  assert.deepEqual(await stream("an address"), { shown: REDACTED, reason: "stop", calls: 0 });
  for (const text of ["blocked", "lever", "the azure lantern"]) {
    const { shown, reason, calls } = await stream(text);
    assert.ok(!shown.includes("azure"));
    assert.equal(calls, 0);
    assert.equal(reason, "content_filter");
  }
  const runner = client.chat.completions.stream({ model: "m", messages: user("give me a tool") });
  const completion = await runner.finalChatCompletion();
  assert.equal(completion.choices[0].message.tool_calls[0].function.arguments, '{"at": "[email]"}');
});

test("responses", async () => {
  assert.equal((await client.responses.create({ model: "m", input: "an address" })).output_text, REDACTED);
  const refused = await client.responses.create({ model: "m", input: "blocked" });
  assert.deepEqual(refused.output[0].content[0], { type: "refusal", refusal: REFUSAL });
  for (const [text, wanted] of [["hello", FINE], ["an address", REDACTED]]) {
    const stream = client.responses.stream({ model: "m", input: text });
    assert.equal((await stream.finalResponse()).output_text, wanted);
  }
  const stream = client.responses.stream({ model: "m", input: "blocked" });
  const seen = [];
  for await (const event of stream) seen.push(JSON.stringify(event));
  assert.ok(!seen.join("").includes("azure"));
  assert.equal((await stream.finalResponse()).output.at(-1).content[0].type, "refusal");
});

test("moderations", async () => {
  const { results } = await client.moderations.create({ input: ["hello", "the azure lantern"] });
  assert.deepEqual(results.map((it) => it.flagged), [false, true]);
  assert.equal(typeof results[0].category_scores["sexual/minors"], "number");
});
