// Swagger UI over the box's own description, in the name of the person who looks.

const place = document.getElementById("api");

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.description,
  validatorUrl: null, // nothing leaves the box
  docExpansion: "none",
  filter: true,
  defaultModelsExpandDepth: -1,
  requestInterceptor(request) {
    Object.assign(request.headers, JSON.parse(document.body.getAttribute("hx-headers")));
    return request;
  },
});
