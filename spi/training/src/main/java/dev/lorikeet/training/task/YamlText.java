package dev.lorikeet.training.task;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import java.io.StringReader;
import java.util.Iterator;
import java.util.Optional;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.error.Mark;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import org.yaml.snakeyaml.error.YAMLException;
import org.yaml.snakeyaml.events.AliasEvent;
import org.yaml.snakeyaml.events.CollectionStartEvent;
import org.yaml.snakeyaml.events.DocumentStartEvent;
import org.yaml.snakeyaml.events.Event;
import org.yaml.snakeyaml.events.MappingEndEvent;
import org.yaml.snakeyaml.events.MappingStartEvent;
import org.yaml.snakeyaml.events.ScalarEvent;
import org.yaml.snakeyaml.events.SequenceEndEvent;
import org.yaml.snakeyaml.events.StreamStartEvent;

/**
 * One YAML document of an untrusted text as a tree of JSON. The library only splits the text into
 * events; nothing is made of them but maps, lists, texts, numbers, truth values and nothing. Plain
 * words mean what they mean in YAML 1.2: {@code 1e-4} is a number, {@code yes} is a text. Tags and
 * aliases are refused, so that no text becomes larger than it is.
 */
final class YamlText {
  private static final int MAX_DEPTH = 16;
  private static final int MAX_NUMBER = 100;
  private static final Pattern INTEGER = Pattern.compile("[-+]?[0-9]{1,18}");
  private static final Pattern DECIMAL =
      Pattern.compile("[-+]?(\\.[0-9]+|[0-9]+(\\.[0-9]*)?)([eE][-+]?[0-9]+)?");

  private final String source;
  private final Iterator<Event> events;

  private YamlText(String source, Iterator<Event> events) {
    this.source = source;
    this.events = events;
  }

  /**
   * Reads a text that must hold one document, a map.
   *
   * @param source names the text in errors
   */
  static ObjectNode read(String source, String text) {
    LoaderOptions options = new LoaderOptions();
    options.setCodePointLimit(Math.max(1, text.length()));
    try {
      Iterator<Event> events = new Yaml(options).parse(new StringReader(text)).iterator();
      return new YamlText(source, events).document();
    } catch (MarkedYAMLException e) {
      throw refuse(
          source,
          Optional.ofNullable(e.getProblemMark()),
          "expected well-formed YAML, found " + Faults.show(String.valueOf(e.getProblem())),
          e);
    } catch (YAMLException e) {
      throw Faults.CONFIG.invalid(source, "well-formed YAML", String.valueOf(e.getMessage()), e);
    }
  }

  private ObjectNode document() {
    if (!(events.next() instanceof StreamStartEvent)
        || !(events.next() instanceof DocumentStartEvent)) {
      throw Faults.CONFIG.invalid(source, "a map", "nothing");
    }
    Event first = events.next();
    if (!(first instanceof MappingStartEvent) || !(value(first, 1) instanceof ObjectNode root)) {
      throw refuse(first, "expected a map, found another value");
    }
    events.next(); // the end of the document
    Event behind = events.next();
    if (behind instanceof DocumentStartEvent) {
      throw refuse(behind, "expected one document, found another one");
    }
    return root;
  }

  private JsonNode value(Event event, int depth) {
    if (depth > MAX_DEPTH) {
      throw refuse(event, "expected at most " + MAX_DEPTH + " levels, found more");
    }
    return switch (event) {
      case ScalarEvent scalar -> scalar(scalar);
      case AliasEvent alias ->
          throw refuse(
              alias, "aliases are not read; what tasks have in common belongs under 'defaults'");
      case MappingStartEvent start -> map(start, depth);
      case CollectionStartEvent start -> list(start, depth);
      default -> throw refuse(event, "expected a value, found " + event.getEventId());
    };
  }

  private ObjectNode map(MappingStartEvent start, int depth) {
    checkTag(start, start.getTag());
    ObjectNode map = JsonNodeFactory.instance.objectNode();
    for (Event at = events.next(); !(at instanceof MappingEndEvent); at = events.next()) {
      if (!(at instanceof ScalarEvent key)) {
        throw refuse(at, "expected a key, found a list, a map or an alias");
      }
      checkTag(key, key.getTag());
      if (map.has(key.getValue())) {
        throw refuse(
            at, "expected each key once, found '" + Faults.show(key.getValue()) + "' again");
      }
      map.set(key.getValue(), value(events.next(), depth + 1));
    }
    return map;
  }

  private ArrayNode list(CollectionStartEvent start, int depth) {
    checkTag(start, start.getTag());
    ArrayNode list = JsonNodeFactory.instance.arrayNode();
    for (Event at = events.next(); !(at instanceof SequenceEndEvent); at = events.next()) {
      list.add(value(at, depth + 1));
    }
    return list;
  }

  private JsonNode scalar(ScalarEvent scalar) {
    checkTag(scalar, scalar.getTag());
    String text = scalar.getValue();
    JsonNodeFactory nodes = JsonNodeFactory.instance;
    if (!scalar.isPlain()) {
      return nodes.textNode(text);
    }
    return switch (text) {
      case "", "~", "null", "Null", "NULL" -> nodes.nullNode();
      case "true", "True", "TRUE" -> nodes.booleanNode(true);
      case "false", "False", "FALSE" -> nodes.booleanNode(false);
      default -> number(text);
    };
  }

  private static JsonNode number(String text) {
    JsonNodeFactory nodes = JsonNodeFactory.instance;
    if (INTEGER.matcher(text).matches()) {
      long number = Long.parseLong(text);
      return number == (int) number ? nodes.numberNode((int) number) : nodes.numberNode(number);
    }
    if (text.length() <= MAX_NUMBER && DECIMAL.matcher(text).matches()) {
      return nodes.numberNode(Double.parseDouble(text));
    }
    return nodes.textNode(text);
  }

  private void checkTag(Event event, @Nullable String tag) {
    if (tag != null && !tag.equals("!")) {
      throw refuse(event, "expected YAML without tags, found '" + Faults.show(tag) + "'");
    }
  }

  private LorikeetException refuse(Event event, String sentence) {
    Mark at = event.getStartMark();
    return refuse(source, Optional.ofNullable(at), sentence, Optional.empty());
  }

  private static LorikeetException refuse(
      String source, Optional<Mark> at, String sentence, Throwable cause) {
    return refuse(source, at, sentence, Optional.of(cause));
  }

  private static LorikeetException refuse(
      String source, Optional<Mark> at, String sentence, Optional<Throwable> cause) {
    String where = source + at.map(mark -> ": line " + (mark.getLine() + 1)).orElse("");
    return cause
        .map(c -> Faults.CONFIG.refuse(where, sentence, c))
        .orElseGet(() -> Faults.CONFIG.refuse(where, sentence));
  }
}
