package dev.lorikeet.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.JsonFile;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/*
 * Of a post-processor nothing matters here but the ids that it puts around the ids of one text, so
 * these are read and the native library is given none. Its own would end the process where a
 * template names a token that is not described, or a second text where there is one.
 */

/** The tokens that the post-processor of a tokenizer file adds before and after a text. */
record Affixes(List<Integer> before, List<Integer> after) {
  /** Those of a file without a post-processor. */
  static final Affixes NONE = new Affixes(List.of(), List.of());

  private static final int MOST_TOKENS = 64;
  private static final String KNOWN =
      "BertProcessing, ByteLevel, RobertaProcessing, TemplateProcessing or a Sequence of them";

  /**
   * Reads a post-processor.
   *
   * @param highestId the highest id that a token has
   */
  static Affixes read(JsonFile file, int highestId, Nesting nesting) {
    nesting.count(file);
    String type = Nesting.type(file, KNOWN);
    return switch (type) {
      case "Sequence" -> {
        Affixes all = NONE;
        for (JsonFile part : file.objects("processors", Nesting.MOST)) {
          all = all.within(read(part, highestId, nesting.deeper(part)));
        }
        yield all;
      }
      case "ByteLevel" -> NONE;
      case "BertProcessing", "RobertaProcessing" ->
          new Affixes(
              List.of(tokenAndId(file, "cls", highestId)),
              List.of(tokenAndId(file, "sep", highestId)));
      case "TemplateProcessing" -> template(file, highestId);
      default -> throw file.unsupported("type", type, KNOWN);
    };
  }

  private Affixes within(Affixes outer) {
    List<Integer> first = new ArrayList<>(outer.before);
    first.addAll(before);
    List<Integer> last = new ArrayList<>(after);
    last.addAll(outer.after);
    return new Affixes(List.copyOf(first), List.copyOf(last));
  }

  private static int tokenAndId(JsonFile file, String key, int highestId) {
    String expected = "a token and its id";
    JsonNode pair = file.node(key).orElseThrow(() -> file.missing(key, expected));
    if (!pair.isArray() || pair.size() != 2 || !pair.path(0).isTextual()) {
      throw file.wrong(key, pair, expected);
    }
    return file.integer(key, pair.path(1), 0, highestId);
  }

  private static Affixes template(JsonFile file, int highestId) {
    JsonFile described =
        file.object("special_tokens").orElseThrow(() -> file.missing("special_tokens", "tokens"));
    List<Integer> before = new ArrayList<>();
    List<Integer> after = new ArrayList<>();
    boolean text = false;
    for (JsonFile piece : file.objects("single", MOST_TOKENS)) {
      if (piece.has("Sequence")) {
        String id = piece.object("Sequence").flatMap(sequence -> sequence.text("id")).orElse("");
        if (text || !id.equals("A")) {
          throw piece.wrong("Sequence", piece.root().path("Sequence").path("id"), "A, once");
        }
        text = true;
      } else {
        (text ? after : before).addAll(ids(piece, described, highestId));
      }
    }
    if (!text) {
      throw file.wrong("single", file.root().path("single"), "the sequence A among its pieces");
    }
    if (before.size() + after.size() > MOST_TOKENS) {
      throw file.unsupported(
          "single", before.size() + after.size(), "at most " + MOST_TOKENS + " tokens");
    }
    return new Affixes(List.copyOf(before), List.copyOf(after));
  }

  private static List<Integer> ids(JsonFile piece, JsonFile described, int highestId) {
    String expected = "a token of special_tokens, or a Sequence";
    String name =
        piece
            .object("SpecialToken")
            .flatMap(token -> token.text("id"))
            .orElseThrow(() -> piece.missing("SpecialToken", expected));
    JsonFile token =
        described
            .object(name)
            .orElseThrow(
                () ->
                    piece.wrong(
                        "SpecialToken", piece.root().path("SpecialToken").path("id"), expected));
    JsonNode ids = token.node("ids").orElseThrow(() -> token.missing("ids", "a list of ids"));
    if (!ids.isArray() || ids.size() > MOST_TOKENS) {
      throw token.wrong("ids", ids, "a list of at most " + MOST_TOKENS + " ids");
    }
    return IntStream.range(0, ids.size())
        .mapToObj(i -> token.integer("ids", ids.path(i), 0, highestId))
        .toList();
  }

  /** Returns whether nothing is added. */
  boolean isEmpty() {
    return before.isEmpty() && after.isEmpty();
  }

  /** Returns the ids of a text with those around it. */
  int[] around(int[] ids) {
    int[] all = new int[before.size() + ids.length + after.size()];
    for (int i = 0; i < before.size(); i++) {
      all[i] = before.get(i);
    }
    System.arraycopy(ids, 0, all, before.size(), ids.length);
    for (int i = 0; i < after.size(); i++) {
      all[before.size() + ids.length + i] = after.get(i);
    }
    return all;
  }
}
