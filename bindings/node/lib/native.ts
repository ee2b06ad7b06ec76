import { join } from 'node:path';
import { BrightlineError } from './errors.js';

/** A verdict on its way from the addon: the wire form alone, or with the places of its spans in UTF-16 units. @internal */
export type Judged = string | { readonly wire: string; readonly units: ArrayLike<number> };

/** Verdicts of a batch, one after the other. @internal */
export interface NativePortion {
    /** Their wire forms. */
    wire: Buffer;
    /** The places in them. */
    units: Uint32Array;
    /** For each verdict, where it ends in `wire`, and where in `units`. */
    ends: Uint32Array;
}

/** @internal */
export interface NativeOptions {
    policy: string;
    package: string;
    settings?: string;
    settingsFile?: string;
    models?: string;
    noModels: boolean;
    requireModels: boolean;
    deadlineMs?: number;
    scores: boolean;
}

/** @internal */
export interface NativeName {
    name: string;
    version: string;
    hash: string;
}

/** @internal */
export interface NativeStep {
    released: { channel: number; text: string }[];
    action: string;
    stopped: boolean;
}

/** @internal */
export interface NativeEnd {
    released: { channel: number; text: string }[];
    verdict: Judged;
    stopped: boolean;
}

/** @internal */
export interface NativeStream {
    toolCall(index: number, id: string, name: string): void;
    push(channel: number, chunk: string | Buffer): NativeStep;
    pushAsync(channel: number, chunk: string | Buffer): Promise<NativeStep>;
    finish(): NativeEnd;
    finishAsync(): Promise<NativeEnd>;
}

/** @internal */
export interface NativeGuard {
    check(record: string): Judged;
    checkAsync(record: string): Promise<Judged>;
    checkBatch(next: () => string | null, threads?: number): Promise<NativePortion[]>;
    stream(context: string): NativeStream;
    readonly policy: NativeName;
    readonly models: NativeName | null;
}

interface Addon {
    NativeGuard: new (options: NativeOptions) => NativeGuard;
}

/** The folder of the package: `models/` and `native/` stand in it. @internal */
export const PACKAGE = join(__dirname, '..');

function load(): Addon {
    const target = `${process.platform}-${process.arch}`;
    try {
        return require(join(PACKAGE, 'native', `${target}.node`)) as Addon;
    } catch (error) {
        const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
        throw new BrightlineError('BL_ADDON', `cannot load the addon for ${target}: ${why}`);
    }
}

/** @internal */
export const addon: Addon = load();
