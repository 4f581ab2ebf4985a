// What the scripts share: where the gateway is, and results printed as one JSON object.
//
//     node openai.mjs http://127.0.0.1:8080 KEY demo

export const [address, key, provider] = process.argv.slice(2);

export const model = (name, settings = "") => `${provider}/${name}@gap=0,ttft=0${settings && `,${settings}`}`;

/** Run each scenario; what it returns, or what it throws, is its result. */
export async function report(scenarios) {
  const results = {};
  for (const [name, scenario] of Object.entries(scenarios)) {
    try {
      results[name] = await scenario();
    } catch (error) {
      const { status = null, message } = error;
      results[name] = { raised: error.constructor.name, status, message };
    }
  }
  console.log(JSON.stringify(results));
}
