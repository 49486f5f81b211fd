// The least that a Worker must do here: read the body, send a fixed one on, and answer. Its cost is the platform's own.

const GAUGES = '{"gauges":[{"name":"floor","value":1,"source":"floor"}]}';
const MESSAGE = '{"v":1,"o":"0000000000000000","r":0,"n":["floor"],"m":[[0,0,0,1,null]]}';

export default {
  async fetch(request, env) {
    await request.arrayBuffer();
    if (env.MEASUREMENTS) {
      await env.MEASUREMENTS.send(MESSAGE, { contentType: "text" });
    } else {
      const answer = await fetch(`${env.LIBRATO_URL}/v1/metrics`, { method: "POST", body: GAUGES });
      await answer.arrayBuffer();
    }
    return new Response('{"success":true}', { headers: { "Content-Type": "application/json" } });
  },
};
