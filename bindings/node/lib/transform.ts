import { BlockedError, BrightlineError } from './errors.js';
import type { GuardStream, Released } from './stream.js';
import { withholds, type Verdict } from './verdict.js';

/** What a {@link GuardTransform} does where text is withheld. */
export interface TransformOptions {
    /**
     * `message`: what comes out ends with the verdict's message, which is safe to show. `error`: the stream fails with a
     * {@link BlockedError}. `message` without it.
     */
    readonly withheld?: 'message' | 'error';
}

/**
 * A `TransformStream` of a response: text or UTF-8 bytes go in, text that may be shown comes out. Judging happens on a
 * thread of the pool. A stream that fails or is canceled emits nothing of what was held back.
 *
 * Once a finding has ended the stream, the source is canceled.
 */
export class GuardTransform extends TransformStream<string | Uint8Array, string> {
    /** The verdict on the whole response; rejects where the stream failed or was canceled before its end. */
    readonly verdict: Promise<Verdict>;

    /** @internal */
    constructor(stream: GuardStream, options: TransformOptions) {
        const { withheld = 'message' } = options;
        if (withheld !== 'message' && withheld !== 'error') {
            throw new BrightlineError('BL_OPTIONS', `\`withheld\` is \`${withheld}\`; known are message, error`);
        }
        let resolve!: (verdict: Verdict) => void;
        let reject!: (reason: unknown) => void;
        const verdict = new Promise<Verdict>((...both) => ([resolve, reject] = both));
        // Whoever does not ask for the verdict is told by the stream itself.
        verdict.catch(() => undefined);

        const emit = (released: readonly Released[], to: TransformStreamDefaultController<string>) => {
            for (const { text } of released) to.enqueue(text);
        };
        const finish = async (to: TransformStreamDefaultController<string>) => {
            const end = await stream.finishAsync();
            emit(end.released, to);
            resolve(end.verdict);
            if (!withholds(end.verdict)) return;
            if (withheld === 'error') to.error(new BlockedError(end.verdict));
            else if (end.verdict.message) to.enqueue(end.verdict.message);
        };
        const fail = (reason: unknown) => {
            stream.close();
            reject(reason);
        };
        super({
            async transform(chunk, to) {
                try {
                    const step = await stream.pushAsync(chunk);
                    emit(step.released, to);
                    if (!step.stopped) return;
                    await finish(to);
                } catch (error) {
                    fail(error);
                    throw error;
                }
                if (withheld === 'message') to.terminate();
            },
            async flush(to) {
                try {
                    await finish(to);
                } catch (error) {
                    fail(error);
                    throw error;
                }
            },
            cancel: fail,
        } as Transformer<string | Uint8Array, string>);
        this.verdict = verdict;
    }
}
