// Checked by `tsc --strict`, never run.
import { expectTypeOf } from 'expect-type';
import { Agent, OpenAIProvider, Runner, tool, type Model } from '@openai/agents';
import { wrapLanguageModel, type LanguageModel } from 'ai';
import { MockLanguageModelV4 } from 'ai/test';
import { Guard, type Verdict } from 'brightline';
import { guardMiddleware, type GuardMiddlewareOptions } from 'brightline/ai-sdk';
import { guardExpress } from 'brightline/express';
import { guardHandler } from 'brightline/fetch';
import { guardOpenAI, type ChatOptions } from 'brightline/openai';
import { guardModel, guardProvider, guardrails, type Guardrails, type GuardrailsOptions } from 'brightline/openai-agents';
import express from 'express';
import OpenAI from 'openai';
import { z } from 'zod';

const guard = new Guard();
const options: ChatOptions = { withheld: 'error', onVerdict: (verdict) => expectTypeOf(verdict).toEqualTypeOf<Verdict>() };

// Guardrails go where `@openai/agents` takes them, whatever an agent's context and output are.
const rails = guardrails(guard, { name: 'house', tripOnRedact: false, throwOnTools: true, onVerdict: () => undefined });
expectTypeOf(rails).toEqualTypeOf<Guardrails>();
const send = tool({
    name: 'send',
    description: 'Sends a message',
    parameters: z.object({ to: z.string() }),
    execute: async ({ to }) => to,
    inputGuardrails: [rails.toolInput],
    outputGuardrails: [rails.toolOutput],
});
new Agent<{ user: string }>({ name: 'a', tools: [send], inputGuardrails: [rails.input], outputGuardrails: [rails.output] });
new Agent({ name: 'b', outputType: z.object({ to: z.string() }), outputGuardrails: [rails.output] });
declare const model: Model;
expectTypeOf(guardModel(model, guard, options)).toEqualTypeOf<Model>();
new Runner({ modelProvider: guardProvider(new OpenAIProvider(), guard) });
// @ts-expect-error an unknown option
guardrails(guard, { parallel: true });
expectTypeOf<GuardrailsOptions['name']>().toEqualTypeOf<string | undefined>();

// A guarded client has the type of the client.
const client = guardOpenAI(new OpenAI(), guard, options);
expectTypeOf(client).toEqualTypeOf<OpenAI>();
expectTypeOf(await client.chat.completions.create({ model: 'm', messages: [] })).toExtend<OpenAI.Chat.ChatCompletion>();
expectTypeOf(await client.responses.create({ model: 'm', input: 'x' })).toExtend<OpenAI.Responses.Response>();
// @ts-expect-error only two ways
guardOpenAI(new OpenAI(), guard, { withheld: 'shout' });

const middleware = guardMiddleware(guard, { withheld: 'message' } satisfies GuardMiddlewareOptions);
expectTypeOf(wrapLanguageModel({ model: new MockLanguageModelV4(), middleware })).toExtend<LanguageModel>();
express().post('/chat', express.json(), guardExpress(guard, options), (_req, res) => void res.json({}));
const handler = guardHandler(guard, (_request, context: { id: number }) => new Response(String(context.id)), options);
expectTypeOf(handler).toEqualTypeOf<(request: Request, context: { id: number }) => Promise<Response>>();
