// Shows the OpenAPI description of this server, with requests that can be tried out.
window.SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true });
