# shellcheck shell=bash
# Lets uv, pip and npm trust the certificates that this system trusts; setup.sh sources it.
#
# Behind a proxy that inspects TLS, the system's store has the proxy's authority; each of the three
# brings a store of its own otherwise. What is set already stays.

for store in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
  /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
  if [[ -n $store && -r $store ]]; then
    export PIP_CERT=${PIP_CERT:-$store}
    export NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-$store}
    break
  fi
done
# The first names what the second did before it.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1} UV_NATIVE_TLS=${UV_NATIVE_TLS:-1}
unset store
