import Anthropic from "@anthropic-ai/sdk";

import { address, key, model, report } from "./reporting.mjs";

const client = new Anthropic({ baseURL: `${address}/anthropic`, apiKey: key, maxRetries: 0 });

const messages = [{ role: "user", content: "hi" }];
const weather = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ name: "get_weather", input_schema: weather }];

async function raw(name) {
  const stream = await client.messages.create({ model: name, max_tokens: 1024, messages, stream: true });
  let text = "";
  for await (const event of stream) text += event.delta?.text ?? "";
  return text;
}

async function helper(fields) {
  return await client.messages.stream({ max_tokens: 1024, messages, ...fields }).finalMessage();
}

async function loop() {
  const first = await helper({ model: model("thinker"), tools });
  const call = first.content.find((block) => block.type === "tool_use");
  const result = { type: "tool_result", tool_use_id: call.id, content: "sunny" };
  const history = [...messages, { role: "assistant", content: first.content }, { role: "user", content: [result] }];
  const second = await helper({ model: model("thinker"), messages: history, tools });
  return {
    finish: first.stop_reason,
    call: { name: call.name, arguments: call.input },
    answer: second.content.find((block) => block.type === "text").text,
  };
}

function told({ content, stop_reason, usage }) {
  return { text: content[0].text, finish: stop_reason, tokens: usage.output_tokens };
}

await report({
  whole: async () => told(await client.messages.create({ model: model("poet"), max_tokens: 1024, messages })),
  raw: () => raw(model("poet")),
  helper: async () => told(await helper({ model: model("poet") })),
  tools: loop,
  models: async () => (await client.models.retrieve("demo/poet")).id,
  refused: () => raw(model("poet", "fault=error-before,status=429")),
  error: () => raw(model("poet", "fault=error-mid")),
  error_in_helper: () => helper({ model: model("poet", "fault=error-mid") }),
  cut: () => raw(model("poet", "fault=cut")),
  cut_in_helper: () => helper({ model: model("poet", "fault=cut") }),
  end: () => raw(model("poet", "fault=end")),
  unknown: () => raw("demo/pot"),
});
