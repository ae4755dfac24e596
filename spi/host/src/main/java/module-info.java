/**
 * The engine that every base model shares: a provider of a base model reads files, makes a {@link
 * dev.lorikeet.host.step.StepDecoder} and opens a host around it.
 */
module dev.lorikeet.host {
  requires transitive dev.lorikeet.text;
  requires static org.jspecify;
  requires transitive io.opentelemetry.api;
  requires io.opentelemetry.context;
  requires jdk.incubator.vector;

  exports dev.lorikeet.host;
  exports dev.lorikeet.host.kv;
  exports dev.lorikeet.host.sampling;
  exports dev.lorikeet.host.serving;
  exports dev.lorikeet.host.step;
  exports dev.lorikeet.host.stream;
  exports dev.lorikeet.host.switching;
  exports dev.lorikeet.host.telemetry;

  provides dev.lorikeet.routing.RouterProvider with
      dev.lorikeet.host.router.AttributeRouterProvider,
      dev.lorikeet.host.router.GateRouterProvider,
      dev.lorikeet.host.router.RulesRouterProvider,
      dev.lorikeet.host.router.UniformRouterProvider;
}
