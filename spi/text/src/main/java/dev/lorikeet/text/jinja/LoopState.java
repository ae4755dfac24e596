package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Values.Callable;
import dev.lorikeet.text.jinja.Values.Undefined;
import java.util.List;

/** The variable {@code loop}. */
final class LoopState {
  private final List<Object> items;
  private final int depth;
  private int index;
  private List<Object> lastChanged = List.of();
  private boolean everChanged;

  LoopState(List<Object> items, int depth) {
    this.items = items;
    this.depth = depth;
  }

  void at(int place) {
    index = place;
  }

  Object get(String name) {
    int length = items.size();
    return switch (name) {
      case "index" -> index + 1L;
      case "index0" -> (long) index;
      case "revindex" -> (long) length - index;
      case "revindex0" -> length - index - 1L;
      case "first" -> index == 0;
      case "last" -> index == length - 1;
      case "length" -> (long) length;
      case "depth" -> depth + 1L;
      case "depth0" -> (long) depth;
      case "previtem" ->
          index > 0 ? items.get(index - 1) : new Undefined("there is no previous item");
      case "nextitem" ->
          index + 1 < length ? items.get(index + 1) : new Undefined("there is no next item");
      case "cycle" -> (Callable) this::cycle;
      case "changed" -> (Callable) this::changed;
      default -> new Undefined("'LoopContext object' has no attribute '" + name + "'");
    };
  }

  private Object cycle(Arguments arguments) {
    if (arguments.positional().isEmpty()) {
      throw JinjaException.evaluation("no items for cycling given");
    }
    return arguments.positional().get(index % arguments.positional().size());
  }

  private Object changed(Arguments arguments) {
    boolean same = everChanged && Order.areEqual(lastChanged, arguments.positional());
    everChanged = true;
    lastChanged = arguments.positional();
    return !same;
  }
}
