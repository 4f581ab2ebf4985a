import OpenAI from "openai";

import { address, key, model, report } from "./reporting.mjs";

const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: key, maxRetries: 0 });

const messages = [{ role: "user", content: "hi" }];
const weather = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "get_weather", parameters: weather } }];

async function raw(name) {
  const stream = await client.chat.completions.create({ model: name, messages, stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  return text;
}

async function helper(fields) {
  const stream = client.chat.completions.stream({ messages, stream_options: { include_usage: true }, ...fields });
  return await stream.finalChatCompletion();
}

async function loop() {
  const first = await helper({ model: model("tools"), tools });
  const message = first.choices[0].message;
  const [call] = message.tool_calls;
  const result = { role: "tool", tool_call_id: call.id, content: "sunny" };
  const history = [...messages, message, result];
  const second = await client.chat.completions.create({ model: model("tools"), messages: history, tools });
  return {
    finish: first.choices[0].finish_reason,
    call: { name: call.function.name, arguments: JSON.parse(call.function.arguments) },
    answer: second.choices[0].message.content,
  };
}

async function helped() {
  const { choices, usage } = await helper({ model: model("poet") });
  return { text: choices[0].message.content, finish: choices[0].finish_reason, tokens: usage.completion_tokens };
}

async function whole() {
  const { choices, usage } = await client.chat.completions.create({ model: model("poet"), messages });
  return { text: choices[0].message.content, finish: choices[0].finish_reason, tokens: usage.completion_tokens };
}

await report({
  whole,
  raw: () => raw(model("poet")),
  helper: helped,
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
