package dev.lorikeet.host.router;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.routing.Mixture;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;

/**
 * Reads rules from a JSON file or from options. What is wrong is an {@link
 * IllegalArgumentException} that names the rule.
 */
final class RuleReader {
  /** What the keys of options begin with that are part of a rule. */
  static final String RULE = "rule.";

  private static final String USE = "use";
  private static final String OTHERWISE = "otherwise";
  private static final long MAX_BYTES = 16L << 20;

  private RuleReader() {}

  /** Reads {@code rule.N.KEY} options, in the order of their numbers. */
  static List<Rule> fromOptions(Options options) {
    Map<Integer, Map<String, String>> byNumber = new TreeMap<>();
    options
        .below(RULE)
        .forEach(
            (key, value) ->
                byNumber
                    .computeIfAbsent(number(options, key), n -> new TreeMap<>())
                    .put(key.substring(key.indexOf('.') + 1), value));
    List<Rule> rules = new ArrayList<>();
    byNumber.forEach(
        (number, texts) ->
            rules.add(
                named(
                    Integer.toString(number),
                    () -> {
                      List<Condition> conditions = new ArrayList<>();
                      texts.forEach(
                          (key, value) -> {
                            if (!key.equals(USE)) {
                              conditions.add(Condition.parse(key, List.of(value)));
                            }
                          });
                      if (!texts.containsKey(USE)) {
                        throw new IllegalArgumentException("'use': expected, found none");
                      }
                      return new Rule(
                          Integer.toString(number),
                          conditions,
                          Rule.mixture(texts.getOrDefault(USE, "")));
                    })));
    return rules;
  }

  private static int number(Options options, String key) {
    int dot = key.indexOf('.');
    try {
      if (dot > 0 && dot + 1 < key.length()) {
        return Integer.parseInt(key.substring(0, dot));
      }
    } catch (NumberFormatException e) {
      // Falls through to the refusal, which shows the key.
    }
    throw options.refusal(RULE + key, "a key rule.NUMBER.KEY, such as rule.1.prompt");
  }

  /** Reads a file: an object with {@code rules} and perhaps {@code otherwise}. */
  static List<Rule> fromFile(Path path) {
    JsonFile file;
    try {
      file = JsonFile.read(path, MAX_BYTES);
    } catch (LorikeetException e) {
      throw new IllegalArgumentException("option 'file': " + e.getMessage(), e);
    }
    try {
      refuseUnknown(file.root(), Set.of("rules", OTHERWISE));
      if (!(file.root().get("rules") instanceof ArrayNode array)) {
        throw new IllegalArgumentException("'rules': expected an array");
      }
      List<Rule> rules = new ArrayList<>();
      for (JsonNode node : array) {
        int place = rules.size() + 1;
        String name = node.path("name").asText(Integer.toString(place));
        rules.add(named(name, () -> rule(name, node)));
      }
      if (file.root().has(OTHERWISE)) {
        rules.add(new Rule(OTHERWISE, List.of(), use(file.root().get(OTHERWISE))));
      }
      return rules;
    } catch (IllegalArgumentException | LorikeetException e) {
      throw new IllegalArgumentException("file '" + path + "': " + e.getMessage(), e);
    }
  }

  private static Rule rule(String name, JsonNode node) {
    if (!(node instanceof ObjectNode object)) {
      throw new IllegalArgumentException("expected an object, found " + node);
    }
    refuseUnknown(object, Set.of("name", "when", USE));
    List<Condition> conditions = new ArrayList<>();
    JsonNode when = object.path("when");
    if (when instanceof ObjectNode tests) {
      tests.properties().forEach(e -> conditions.add(Condition.parse(e.getKey(), values(e))));
    } else if (!when.isMissingNode()) {
      throw new IllegalArgumentException("'when': expected an object, found " + when);
    }
    if (!object.has(USE)) {
      throw new IllegalArgumentException("'use': expected, found none");
    }
    return new Rule(name, conditions, use(object.get(USE)));
  }

  private static List<String> values(Map.Entry<String, JsonNode> condition) {
    List<String> values = new ArrayList<>();
    JsonNode value = condition.getValue();
    for (JsonNode each : value.isArray() ? value : List.of(value)) {
      if (!each.isTextual()) {
        throw new IllegalArgumentException(
            "'" + condition.getKey() + "': expected a text or an array of texts, found " + value);
      }
      values.add(each.textValue());
    }
    return values;
  }

  private static Mixture use(JsonNode node) {
    if (node.isTextual()) {
      return Rule.mixture(node.textValue());
    }
    if (!(node instanceof ObjectNode object)) {
      throw new IllegalArgumentException(
          "'use': expected a text or an object of weights, found " + node);
    }
    List<Mixture.Share> shares = new ArrayList<>();
    for (Map.Entry<String, JsonNode> share : object.properties()) {
      if (!share.getValue().isNumber()) {
        throw new IllegalArgumentException(
            "'use': expected a weight for '" + share.getKey() + "', found " + share.getValue());
      }
      shares.add(new Mixture.Share(share.getKey(), share.getValue().floatValue()));
    }
    return new Mixture(shares);
  }

  private static void refuseUnknown(ObjectNode object, Set<String> known) {
    object
        .fieldNames()
        .forEachRemaining(
            key -> {
              if (!known.contains(key)) {
                throw new IllegalArgumentException(
                    "'" + key + "': unknown, expected one of " + known.stream().sorted().toList());
              }
            });
  }

  private static Rule named(String name, Supplier<Rule> reading) {
    try {
      return reading.get();
    } catch (IllegalArgumentException | LorikeetException e) {
      throw new IllegalArgumentException("rule '" + name + "': " + e.getMessage(), e);
    }
  }
}
