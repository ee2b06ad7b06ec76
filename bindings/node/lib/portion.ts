import type { Judged, NativePortion } from './native.js';
import { Verdict } from './verdict.js';

/** The verdicts of all portions. @internal */
export function unpacked(portions: readonly NativePortion[]): Verdict[] {
    const verdicts: Verdict[] = [];
    for (const portion of portions) {
        for (let at = 0; at < portion.ends.length; at += 2) verdicts.push(new Verdict(new Slice(portion, at)));
    }
    return verdicts;
}

/** One verdict of a portion, cut out when it is first read: many verdicts are only counted or stored. */
class Slice implements Exclude<Judged, string> {
    readonly #portion: NativePortion;
    readonly #at: number;

    constructor(portion: NativePortion, at: number) {
        this.#portion = portion;
        this.#at = at;
    }

    get wire(): string {
        return this.#portion.wire.toString('utf8', ...this.#range(this.#at));
    }

    get units(): Uint32Array {
        return this.#portion.units.subarray(...this.#range(this.#at + 1));
    }

    #range(at: number): [number, number] {
        const { ends } = this.#portion;
        return [ends[at - 2] ?? 0, ends[at] ?? 0];
    }
}
