package dev.lorikeet.host.router;

import dev.lorikeet.plugin.Availability;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The router {@code rules}: the first rule that a request meets names its adapters. Options: {@code
 * file}, a JSON file with rules, or {@code rule.1.prompt}, {@code rule.1.use} and so on; {@code
 * otherwise}, what requests use that meet no rule, without it the base model. The module's README
 * describes rules.
 */
public final class RulesRouterProvider implements RouterProvider {
  private static final String FILE = "file";
  private static final String OTHERWISE = "otherwise";

  /** For {@link java.util.ServiceLoader}. */
  public RulesRouterProvider() {}

  @Override
  public String name() {
    return "rules";
  }

  @Override
  public Availability availability() {
    return Availability.available("by patterns, tenant, language and attributes, request scope");
  }

  @Override
  public Router open(RouterConfig config) {
    Map<String, String> options = config.options();
    RouterOptions.refuseUnknown(
        options,
        key -> key.equals(FILE) || key.equals(OTHERWISE) || RuleReader.isRule(key),
        name());
    List<Rule> rules = new ArrayList<>(RuleReader.fromOptions(options));
    if (options.containsKey(FILE) == !rules.isEmpty()) {
      throw new IllegalArgumentException(
          "option 'file': expected by the router 'rules', or else options rule.1.use and so on, found "
              + (rules.isEmpty() ? "neither" : "both"));
    }
    if (options.containsKey(FILE)) {
      rules.addAll(RuleReader.fromFile(RouterOptions.required(options, FILE, name())));
    }
    if (options.containsKey(OTHERWISE)) {
      Mixture otherwise = Rule.mixture(RouterOptions.required(options, OTHERWISE, name()));
      rules.add(new Rule(OTHERWISE, List.of(), otherwise));
    }
    return new FirstRule(List.copyOf(rules));
  }

  private record FirstRule(List<Rule> rules) implements RequestRouter {
    @Override
    public Mixture route(RequestContext context) {
      for (Rule rule : rules) {
        if (rule.meets(context)) {
          return rule.chosen(context);
        }
      }
      return Mixture.none();
    }
  }
}
