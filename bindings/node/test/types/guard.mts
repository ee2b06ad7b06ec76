// Checked by `tsc --strict`, never run.
import { expectTypeOf } from 'expect-type';
import {
    BlockedError,
    BrightlineError,
    Guard,
    GuardStream,
    GuardTransform,
    Verdict,
    type Action,
    type Channel,
    type ErrorCode,
    type Finding,
    type Input,
    type Span,
    type WireVerdict,
} from 'brightline';
import type OpenAI from 'openai';

const guard = new Guard({ policy: 'default', models: false, deadlineMs: 50, settings: { operator: { switch: { profanity: 'on' } } } });

expectTypeOf(guard.check('x')).toEqualTypeOf<Verdict>();
expectTypeOf(guard.checkAsync('x')).resolves.toEqualTypeOf<Verdict>();
expectTypeOf(guard.checkBatch(['x', { request: 'y' }])).resolves.toEqualTypeOf<Verdict[]>();
expectTypeOf(guard.stream('x')).toEqualTypeOf<GuardStream>();
expectTypeOf(guard.transform('x', { withheld: 'error' })).toEqualTypeOf<GuardTransform>();
expectTypeOf(guard.models?.name).toEqualTypeOf<string | undefined>();

const verdict = guard.check([{ role: 'user', content: 'x' }]);
expectTypeOf(verdict.action).toEqualTypeOf<Action>();
expectTypeOf(verdict.findings).toEqualTypeOf<readonly Finding[]>();
expectTypeOf(verdict.message).toEqualTypeOf<string | undefined>();
expectTypeOf(verdict.toJSON()).toEqualTypeOf<WireVerdict>();
expectTypeOf<Span['start']>().toBeNumber();
expectTypeOf<ErrorCode>().extract<'BL_POLICY'>().toEqualTypeOf<'BL_POLICY'>();
expectTypeOf<BlockedError>().toExtend<BrightlineError>();
expectTypeOf<Channel>().toEqualTypeOf<'text' | 'reasoning' | { readonly toolCall: number }>();

// What the clients of the chat APIs take is an input as it is.
expectTypeOf<OpenAI.Chat.ChatCompletionMessageParam[]>().toExtend<Input>();
expectTypeOf<OpenAI.Chat.ChatCompletionMessage>().toExtend<{ role: 'assistant' }>();
guard.check({ messages: [{ role: 'user', content: 'x' }], tags: ['under_18'], settings: { user: { switch: { profanity: 'on' } } } });
guard.check({ tool_call: { name: 'shell', arguments: { cmd: 'ls' } } });

// @ts-expect-error a role that no chat API has
guard.check([{ role: 'bot', content: 'x' }]);
// @ts-expect-error no number is an input
guard.check(7);
// @ts-expect-error an unknown option
new Guard({ polcy: 'default' });
// @ts-expect-error a request may not set what the operator does
guard.check({ request: 'x', settings: { operator: {} } });
// @ts-expect-error verdicts cannot be changed
verdict.action = 'allow';
// @ts-expect-error an unknown channel
guard.stream('x').push('y', 'answer');

const response = new Response('x').body!.pipeThrough(new TextDecoderStream()).pipeThrough(guard.transform('x'));
expectTypeOf(response).toExtend<ReadableStream<string>>();
