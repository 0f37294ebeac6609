// One contestant of one benchmark, alone in this process.
const [area, name] = process.argv.slice(2);
const { contestants } = await import(`./${area}.mjs`);
const result = await contestants[name]();
process.send(result, () => process.exit(0));
