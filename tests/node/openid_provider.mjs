// An OpenID provider and a bank's API, both over mutual TLS. Settings come as JSON on standard input; the ports go out
// as one line of JSON. The API serves a token only to the certificate that it was given to (RFC 8705, 3).
import { createHash, X509Certificate } from 'node:crypto';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import Provider from 'oidc-provider';

const settings = JSON.parse(await text(process.stdin));
const tls = { key: settings.key, cert: settings.certificate, ca: settings.authority, requestCert: true };

async function listening(server) {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}

const peer = (socket) => new X509Certificate(socket.getPeerCertificate().raw);
const authority = createServer(tls);
const port = await listening(authority);
const issuer = `https://localhost:${port}`;

const provider = new Provider(issuer, {
  clients: settings.clients,
  clientAuthMethods: ['private_key_jwt', 'tls_client_auth', 'client_secret_basic', 'client_secret_post'],
  enabledJWA: { clientAuthSigningAlgValues: ['PS256', 'ES256'] },
  scopes: ['accounts', 'payments'],
  clientDefaults: { redirect_uris: [], response_types: [] },
  assertJwtClientAuthClaimsAndHeader(ctx, claims) {
    // FAPI 2.0 security profile, 5.3.2.1: the issuer as a string, and nothing else.
    if (claims.aud !== issuer) throw new Error('aud is not the issuer');
  },
  ttl: { ClientCredentials: 600 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: { enabled: false },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      getCertificate: (ctx) => peer(ctx.socket),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_san_dns' && peer(ctx.socket).subjectAltName === `DNS:${expected}`,
    },
  },
});
const answers = provider.callback();
let tokenRequests = 0;
authority.on('request', (request, response) => {
  if (request.method === 'POST') tokenRequests += 1;
  answers(request, response);
});

const api = createServer(tls, async (request, response) => {
  const value = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  const token = value && (await provider.ClientCredentials.find(value));
  const thumbprint = createHash('sha256').update(request.socket.getPeerCertificate().raw).digest('base64url');
  const known = token && token.isValid && token['x5t#S256'] === thumbprint;
  response.writeHead(known ? 200 : 401, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(known ? { client: token.clientId, thumbprint, scope: token.scope, tokenRequests } : {}));
});
console.log(JSON.stringify({ issuer, token_endpoint: `${issuer}/token`, api: `https://localhost:${await listening(api)}` }));
