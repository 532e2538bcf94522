// A real Bluesky server (PDS) with the directory of accounts (PLC) that it needs, on loopback.
//
//   NODE_PATH=.../node_modules node pds.cjs FOLDER
//
// Prints the server's address once it listens, and ends with its standard input.
'use strict';

const net = require('node:net');

// Both servers name no host, and would listen on every address of this machine.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { port: Number(port), host: '127.0.0.1' }, ...rest);
};

const { PDS, envToCfg, envToSecrets, readEnv } = require('@atproto/pds');
const plc = require('@did-plc/server');

async function freePort() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function main(folder) {
  const [plcPort, port] = [await freePort(), await freePort()];
  await plc.PlcServer.create({ db: plc.Database.mock(), port: plcPort }).start();
  Object.assign(process.env, {
    PDS_PORT: String(port),
    PDS_HOSTNAME: 'localhost',
    PDS_SERVICE_HANDLE_DOMAINS: '.test',
    PDS_DEV_MODE: 'true',
    PDS_INVITE_REQUIRED: 'false',
    PDS_RATE_LIMITS_ENABLED: 'true',
    PDS_DATA_DIRECTORY: folder,
    PDS_BLOBSTORE_DISK_LOCATION: `${folder}/blobs`,
    PDS_DID_PLC_URL: `http://127.0.0.1:${plcPort}`,
    PDS_DPOP_SECRET: '1'.repeat(64),
    PDS_JWT_SECRET: '2'.repeat(32),
    PDS_ADMIN_PASSWORD: '3'.repeat(32),
    PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: '4'.repeat(64),
    LOG_ENABLED: 'false',
  });
  const env = readEnv();
  const pds = await PDS.create(envToCfg(env), envToSecrets(env));
  await pds.start();
  console.log(`http://127.0.0.1:${port}`);
}

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
