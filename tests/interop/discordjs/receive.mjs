// A bot made of @discordjs/voice alone: it joins with the ticket in TICKET and prints every Opus frame it hears, decrypted,
// as a line of JSON. It ends when its standard input does.

import { createInterface } from "node:readline";
import { joinVoiceChannel, entersState, EndBehaviorType, VoiceConnectionStatus } from "@discordjs/voice";

const ticket = JSON.parse(process.env.TICKET);
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

// The main gateway's part: whatever is asked for, the answer is the ticket.
function adapter(voice) {
  return {
    destroy() {},
    sendPayload() {
      const { guild_id, channel_id, user_id, session_id, token, endpoint } = ticket;
      queueMicrotask(() => {
        voice.onVoiceStateUpdate({ guild_id, channel_id, user_id, session_id });
        voice.onVoiceServerUpdate({ guild_id, token, endpoint });
      });
      return true;
    },
  };
}

const connection = joinVoiceChannel({
  guildId: ticket.guild_id,
  channelId: ticket.channel_id,
  selfDeaf: false,
  adapterCreator: adapter,
});
connection.on("error", (error) => say({ error: String(error) }));
await entersState(connection, VoiceConnectionStatus.Ready, 10_000);
say({ ready: true });

const followed = new Set();
for await (const line of createInterface({ input: process.stdin })) {
  const user = JSON.parse(line).subscribe;
  const stream = connection.receiver.subscribe(user, { end: { behavior: EndBehaviorType.Manual } });
  if (!followed.has(stream)) {
    followed.add(stream); // a second subscription to a user is the same stream
    stream.on("data", (frame) => say({ user, frame: frame.toString("base64") }));
    stream.on("error", (error) => say({ user, error: String(error) }));
  }
  say({ subscribed: user });
}
connection.destroy();
process.exit(0);
