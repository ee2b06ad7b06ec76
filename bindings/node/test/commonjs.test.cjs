const assert = require('node:assert/strict');
const { test } = require('node:test');

test('both module systems share one implementation', async () => {
    const required = require('brightline');
    const imported = await import('brightline');
    assert.equal(required.Guard, imported.Guard);
    assert.equal(required.BrightlineError, imported.BrightlineError);
    for (const name of ['ai-sdk', 'express', 'fetch', 'openai', 'openai-agents']) {
        const [one, two] = [require(`brightline/${name}`), await import(`brightline/${name}`)];
        for (const key of Object.keys(one)) assert.equal(one[key], two[key]);
    }
    assert.equal(new required.Guard({ models: false }).check('hello').action, 'allow');
});

test('the package names no path of the machine that built it', () => {
    const { execFileSync } = require('node:child_process');
    const { dirname } = require('node:path');
    const folder = dirname(require.resolve('brightline/package.json'));
    const root = dirname(process.env.BRIGHTLINE_ROOT);
    const lines = () => execFileSync('grep', ['-rlF', '--include=*.js', '--include=*.ts', '--include=*.mjs', `${root}/`, folder]);
    assert.throws(lines, { status: 1 });
});
