package dev.lorikeet.training.data;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.model.Prompt.ChatMessage;
import dev.lorikeet.training.data.ExampleEncoder.Continued;
import dev.lorikeet.training.stage.MicroBatch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/** One line of a file: the example that its keys describe. */
final class ExampleLine {
  private static final int MOST_MESSAGES = 10_000;
  private static final Set<String> MESSAGE_KEYS = Set.of("role", "content");
  private static final Set<String> KEYS =
      Set.of(
          "text",
          "prompt",
          "completion",
          "messages",
          "chosen",
          "rejected",
          "ids",
          "labels",
          "prompt_ids",
          "chosen_ids",
          "rejected_ids",
          "paraphrase",
          "paraphrase_ids",
          "completion_ids");
  private static final String FORMS =
      "text; or prompt and completion; or messages; or prompt, chosen and rejected; or ids, with or"
          + " without labels; or prompt_ids, chosen_ids and rejected_ids; or prompt, paraphrase and"
          + " completion; or prompt_ids, paraphrase_ids and completion_ids";

  private final JsonFile line;
  private final ExampleEncoder encoder;

  ExampleLine(JsonFile line, ExampleEncoder encoder) {
    this.line = line;
    this.encoder = encoder;
  }

  Example read() {
    line.checkKeys(KEYS);
    String keys = String.join(", ", KEYS.stream().filter(line::has).sorted().toList());
    return switch (keys) {
      case "text" -> learned(text());
      case "completion, prompt" -> learned(completion());
      case "messages" ->
          learned(encoder.conversation(line.where("messages"), messages("messages")));
      case "ids" -> learned(ids());
      case "ids, labels" -> learned(labelled());
      case "chosen, prompt, rejected" -> preference();
      case "chosen_ids, prompt_ids, rejected_ids" ->
          new Example.Preference(
              tokens("prompt_ids"), tokens("chosen_ids"), tokens("rejected_ids"));
      case "completion, paraphrase, prompt" ->
          new Example.Paraphrase(wording("prompt"), wording("paraphrase"));
      case "completion_ids, paraphrase_ids, prompt_ids" ->
          new Example.Paraphrase(joined(tokens("prompt_ids")), joined(tokens("paraphrase_ids")));
      default ->
          throw Faults.DATA.invalid(line.source(), FORMS, keys.isEmpty() ? "none of them" : keys);
    };
  }

  private Example.Text learned(Example.Text text) {
    if (!Shortened.hasLoss(text.labels())) {
      throw Faults.DATA.invalid(
          line.source(),
          "at least one token to be learned behind the first",
          text.ids().length + " tokens, none of them to be learned");
    }
    return text;
  }

  private Example.Text text() {
    int[] ids = encoder.text(line.where("text"), nonEmpty(line, "text"));
    return new Example.Text(some("text", ids), ids);
  }

  private Example.Text ids() {
    int[] ids = tokens("ids");
    return new Example.Text(ids, ids);
  }

  private Example.Text completion() {
    return completed(continued("prompt", "completion"));
  }

  private Example.Text completed(Continued both) {
    some("completion", both.rest());
    int[] labels = both.ids().clone();
    Arrays.fill(labels, 0, both.from(), MicroBatch.NO_LOSS);
    return new Example.Text(both.ids(), labels);
  }

  /** Reads one wording of a prompt with the completion. */
  private Example.Text wording(String key) {
    Continued both = continued(key, "completion");
    if (both.from() == 0) {
      throw Faults.DATA.invalid(
          line.where(key), "at least one token that the completion follows", "none");
    }
    return completed(both);
  }

  private Example.Text joined(int[] prompt) {
    int[] completion = tokens("completion_ids");
    int[] ids = Arrays.copyOf(prompt, prompt.length + completion.length);
    System.arraycopy(completion, 0, ids, prompt.length, completion.length);
    return completed(new Continued(ids, prompt.length));
  }

  private Example.Text labelled() {
    int[] ids = tokens("ids");
    JsonNode list = list("labels");
    if (list.size() != ids.length) {
      throw line.wrong("labels", list, "as many as ids, " + ids.length);
    }
    int[] labels = new int[ids.length];
    for (int t = 0; t < ids.length; t++) {
      JsonNode label = list.get(t);
      if (!isInt(label) || label.intValue() != ids[t] && label.intValue() != MicroBatch.NO_LOSS) {
        throw line.wrong(
            "labels[" + t + "]", label, "the id of that token, " + ids[t] + ", or -100");
      }
      labels[t] = label.intValue();
    }
    return new Example.Text(ids, labels);
  }

  private Example preference() {
    Continued chosen = continued("prompt", "chosen");
    Continued rejected = continued("prompt", "rejected");
    int from = Math.min(chosen.from(), rejected.from());
    if (from == 0) {
      throw Faults.DATA.invalid(
          line.where("prompt"), "at least one token that both answers follow", "none");
    }
    return new Example.Preference(
        Arrays.copyOf(chosen.ids(), from),
        some("chosen", new Continued(chosen.ids(), from).rest()),
        some("rejected", new Continued(rejected.ids(), from).rest()));
  }

  /** Reads the prompt and what follows it. */
  private Continued continued(String prompt, String key) {
    boolean chat = line.root().path(prompt).isArray();
    if (line.root().path(key).isArray() != chat) {
      throw line.wrong(
          key, line.root().path(key), (chat ? "messages" : "text") + " as the prompt is");
    }
    return chat
        ? encoder.continued(line.where(key), messages(prompt), messages(key))
        : encoder.continued(line.where(key), nonEmpty(line, prompt), nonEmpty(line, key));
  }

  private int[] some(String key, int[] ids) {
    if (ids.length == 0) {
      throw Faults.DATA.invalid(line.where(key), "at least one token", "none");
    }
    return ids;
  }

  private List<ChatMessage> messages(String key) {
    List<ChatMessage> messages = new ArrayList<>();
    for (JsonFile message : line.objects(key, MOST_MESSAGES)) {
      message.checkKeys(MESSAGE_KEYS);
      String role = nonEmpty(message, "role");
      String content =
          message.text("content").orElseThrow(() -> message.missing("content", "text"));
      if (content.isEmpty() && role.equals("assistant")) {
        throw empty(message, "content");
      }
      messages.add(ChatMessage.of(role, content));
    }
    if (messages.isEmpty()) {
      throw line.wrong(key, line.root().path(key), "at least one message");
    }
    return messages;
  }

  private static String nonEmpty(JsonFile in, String key) {
    String text = in.text(key).orElseThrow(() -> in.missing(key, "text"));
    if (text.isEmpty()) {
      throw empty(in, key);
    }
    return text;
  }

  private static LorikeetException empty(JsonFile in, String key) {
    return Faults.DATA.invalid(in.where(key), "text", "an empty one");
  }

  private int[] tokens(String key) {
    JsonNode list = list(key);
    int[] ids = new int[list.size()];
    for (int t = 0; t < ids.length; t++) {
      JsonNode id = list.get(t);
      if (!isInt(id) || id.intValue() < 0 || id.intValue() >= encoder.vocabulary()) {
        throw line.wrong(
            key + "[" + t + "]", id, "a token id from 0 to " + (encoder.vocabulary() - 1));
      }
      ids[t] = id.intValue();
    }
    return some(key, ids);
  }

  private static boolean isInt(JsonNode node) {
    return node.isIntegralNumber() && node.canConvertToInt();
  }

  private JsonNode list(String key) {
    JsonNode list = line.root().path(key);
    if (!list.isArray()) {
      throw line.wrong(key, list, "a list of token ids");
    }
    return list;
  }
}
