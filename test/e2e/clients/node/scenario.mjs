// What both Node clients share: the steps' names, the pause for a restart, the check of a refusal.
import assert from 'node:assert/strict';
import readline from 'node:readline';

export const port = Number(process.argv[2]);
export const step = (name) => console.log(`ok ${name}`);

export async function refused(text, call) {
  await assert.rejects(call, (e) => {
    assert.equal(e.message, text);
    return true;
  });
}

export async function restart() {
  const lines = readline.createInterface({input: process.stdin});
  console.log('restart');
  await new Promise((resolve) => lines.once('line', resolve));
  lines.close();
}

export const upTo = (n) => Array.from({length: n}, (_, i) => i);
