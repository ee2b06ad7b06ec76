import brightline = require('brightline');

const verdict: brightline.Verdict = new brightline.Guard().check('x');
verdict.findings satisfies readonly brightline.Finding[];
