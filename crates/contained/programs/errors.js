// Connects to each host, over one family of addresses, and prints the host and what Node says.
const net = require('net');

const outcome = (host) => new Promise((done) => {
  const socket = net.connect({host, port: 80, family: net.isIPv6(host) ? 6 : 4});
  socket.on('connect', () => { socket.destroy(); done('open'); });
  socket.on('error', (error) => done(error.code));
});

(async () => {
  for (const host of process.argv.slice(2)) console.log(`${host}: ${await outcome(host)}`);
})();
