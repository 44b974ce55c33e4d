"use strict";
// Everything comes from this server. Who is logged in to it may try things out: the session needs the CSRF token.
const docs = document.getElementById("docs");
const token = () => (document.cookie.match(/(?:^|; )csrftoken=([^;]+)/) || [])[1];
SwaggerUIBundle({
  url: docs.dataset.schema,
  domNode: docs,
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (token() && new URL(request.url, location.href).origin === location.origin) {
      request.headers["X-CSRFToken"] = token();
    }
    return request;
  },
});
