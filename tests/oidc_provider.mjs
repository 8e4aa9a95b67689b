// A real OpenID Connect provider, which signs in whoever it is told: oidc_provider.mjs PORT REDIRECT_URI
import Provider from "oidc-provider";

const [port, redirectUri] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const people = {
  ann: { email: "ann@example.com", email_verified: true },
  eve: { email: "ann@example.com", email_verified: false },
};

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "safelight",
      client_secret: "a-secret-of-a-test-0123456789abcdef",
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: "client_secret_basic",
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  cookies: { keys: ["a-key-of-a-test"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
});

provider.listen(Number(port), "127.0.0.1");
