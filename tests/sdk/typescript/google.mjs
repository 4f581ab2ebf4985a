import { GoogleGenAI } from "@google/genai";

import { address, key, model, report } from "./reporting.mjs";

const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: address } });

const weather = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const config = { tools: [{ functionDeclarations: [{ name: "get_weather", parametersJsonSchema: weather }] }] };

function told({ text, candidates, usageMetadata }) {
  return { text, finish: candidates[0].finishReason, tokens: usageMetadata.candidatesTokenCount };
}

async function gathered(stream) {
  let text = "";
  let last;
  for await (const chunk of stream) {
    text += chunk.text ?? "";
    last = chunk;
  }
  return { ...told(last), text };
}

async function raw(name) {
  return await gathered(await client.models.generateContentStream({ model: name, contents: "hi" }));
}

async function helper(name) {
  return await gathered(await client.chats.create({ model: name }).sendMessageStream({ message: "hi" }));
}

async function loop() {
  const chat = client.chats.create({ model: model("thinker"), config });
  let call;
  for await (const chunk of await chat.sendMessageStream({ message: "hi" })) call ??= chunk.functionCalls?.[0];
  const functionResponse = { id: call.id, name: call.name, response: { output: "sunny" } };
  const second = await chat.sendMessage({ message: [{ functionResponse }] });
  return { finish: "tool_calls", call: { name: call.name, arguments: call.args }, answer: second.text };
}

await report({
  whole: async () => told(await client.models.generateContent({ model: model("poet"), contents: "hi" })),
  raw: async () => (await raw(model("poet"))).text,
  helper: () => helper(model("poet")),
  tools: loop,
  models: async () => (await client.models.get({ model: "demo/poet" })).name,
  refused: () => raw(model("poet", "fault=error-before,status=429")),
  error: () => raw(model("poet", "fault=error-mid")),
  error_in_helper: () => helper(model("poet", "fault=error-mid")),
  cut: () => raw(model("poet", "fault=cut")),
  cut_in_helper: () => helper(model("poet", "fault=cut")),
  end: () => raw(model("poet", "fault=end")),
  unknown: () => raw("demo/pot"),
});
