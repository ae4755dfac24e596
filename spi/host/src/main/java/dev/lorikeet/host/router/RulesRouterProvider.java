package dev.lorikeet.host.router;

import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.util.ArrayList;
import java.util.List;

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
    Options options =
        Options.of(
            "router plugin 'rules'", config.options(), FILE, OTHERWISE, RuleReader.RULE + "*");
    List<Rule> rules = new ArrayList<>(RuleReader.fromOptions(options));
    if (options.has(FILE) == !rules.isEmpty()) {
      throw options.refusal(FILE, "a file or else rules as options rule.1.use and so on, not both");
    }
    if (options.has(FILE)) {
      rules.addAll(RuleReader.fromFile(options.path(FILE)));
    }
    if (options.has(OTHERWISE)) {
      Mixture otherwise = Rule.mixture(options.required(OTHERWISE));
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
