package dev.lorikeet.training.data;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.Faults;
import dev.lorikeet.model.Prompt.Chat;
import dev.lorikeet.model.Prompt.ChatMessage;
import dev.lorikeet.text.ChatTemplate;
import dev.lorikeet.text.Tokenizer;
import dev.lorikeet.training.stage.MicroBatch;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * Texts and conversations to tokens. Every {@code where} names the place in errors.
 *
 * @param vocabulary how many tokens the model has
 * @param tokenizer what encodes, if there is one
 * @param template what renders conversations, if there is one
 * @param eos what goes behind texts, if anything
 */
record ExampleEncoder(
    int vocabulary,
    Optional<Tokenizer> tokenizer,
    Optional<ChatTemplate> template,
    OptionalInt eos) {
  private static final String ASSISTANT = "assistant";

  /**
   * A beginning and what follows it.
   *
   * @param ids the tokens of both
   * @param from the first token that is not the beginning's alone
   */
  @SuppressWarnings("ArrayRecordComponent") // handed on, never compared
  record Continued(int[] ids, int from) {
    int[] rest() {
      return Arrays.copyOfRange(ids, from, ids.length);
    }
  }

  /** Returns the tokens of a text, with what goes around it. */
  int[] text(String where, String text) {
    return ended(encode(where, text, true));
  }

  /** Returns the tokens of a prompt and what follows it. */
  Continued continued(String where, String prompt, String answer) {
    int[] ids = ended(encode(where, prompt + answer, true));
    return continued(ids, encode(where, prompt, true));
  }

  /** Returns the tokens of a conversation and of the messages that follow it. */
  Continued continued(String where, List<ChatMessage> prompt, List<ChatMessage> answer) {
    String before = render(where, prompt, true);
    String all = render(where, concat(prompt, answer), false);
    checkBegins(where, all, before);
    return continued(encode(where, all, false), encode(where, before, false));
  }

  private static Continued continued(int[] ids, int[] beginning) {
    int common = common(ids, beginning);
    return new Continued(ids, common);
  }

  private static List<ChatMessage> concat(List<ChatMessage> first, List<ChatMessage> second) {
    return Stream.concat(first.stream(), second.stream()).toList();
  }

  /**
   * Returns a conversation of which the assistant's turns have labels. Where a turn begins and ends
   * is found by rendering what comes before it, and what comes before the next.
   */
  Example.Text conversation(String where, List<ChatMessage> messages) {
    String all = render(where, messages, false);
    int[] ids = encode(where, all, false);
    int[] labels = new int[ids.length];
    Arrays.fill(labels, MicroBatch.NO_LOSS);
    boolean any = false;
    for (int m = 0; m < messages.size(); m++) {
      if (!messages.get(m).role().equals(ASSISTANT)) {
        continue;
      }
      String turn = where + "[" + m + "]";
      if (m == 0) {
        throw Faults.DATA.invalid(turn, "a message of another role first", "the role " + ASSISTANT);
      }
      int from = tokensOf(turn, messages.subList(0, m), true, all, ids);
      int to =
          m + 1 == messages.size()
              ? ids.length
              : tokensOf(turn, messages.subList(0, m + 1), false, all, ids);
      if (to > from) {
        System.arraycopy(ids, from, labels, from, to - from);
      }
      any = true;
    }
    if (!any) {
      throw Faults.DATA.invalid(where, "at least one message of the role " + ASSISTANT, "none");
    }
    return new Example.Text(ids, labels);
  }

  private int tokensOf(
      String where, List<ChatMessage> first, boolean generate, String all, int[] ids) {
    String beginning = render(where, first, generate);
    checkBegins(where, all, beginning);
    return common(ids, encode(where, beginning, false));
  }

  private static void checkBegins(String where, String all, String beginning) {
    if (!all.startsWith(beginning)) {
      int same = common(all, beginning);
      throw Faults.DATA.refuse(
          where,
          "the chat template does not render a conversation as the beginning of a longer one, so"
              + " that the tokens of a turn cannot be told; expected '"
              + Faults.show(beginning.substring(same))
              + "' at character "
              + same
              + ", found '"
              + Faults.show(all.substring(same))
              + "'");
    }
  }

  private static int common(String a, String b) {
    int i = 0;
    while (i < a.length() && i < b.length() && a.charAt(i) == b.charAt(i)) {
      i++;
    }
    return i;
  }

  private static int common(int[] ids, int[] beginning) {
    int different = Arrays.mismatch(ids, beginning);
    return different < 0 ? ids.length : different;
  }

  private int[] ended(int[] ids) {
    if (eos.isEmpty() || ids.length > 0 && ids[ids.length - 1] == eos.getAsInt()) {
      return ids;
    }
    int[] ended = Arrays.copyOf(ids, ids.length + 1);
    ended[ids.length] = eos.getAsInt();
    return ended;
  }

  private String render(String where, List<ChatMessage> messages, boolean generate) {
    ChatTemplate known =
        template.orElseThrow(
            () ->
                Faults.DATA.invalid(
                    where, "texts, since the model has no chat template", "messages"));
    return refusing(where, () -> known.render(Chat.of(messages), generate));
  }

  private int[] encode(String where, String text, boolean addSpecialTokens) {
    Tokenizer known =
        tokenizer.orElseThrow(
            () -> Faults.DATA.invalid(where, "token ids, since there is no tokenizer", "text"));
    int[] ids = refusing(where, () -> known.encode(text, addSpecialTokens));
    for (int id : ids) {
      if (id < 0 || id >= vocabulary) {
        throw Faults.DATA.invalid(
            where,
            "a text whose tokens are below the model's vocabulary of " + vocabulary,
            "the tokenizer's " + id);
      }
    }
    return ids;
  }

  /** What a tokenizer or a template refuses is the example's fault. */
  private static <T> T refusing(String where, Supplier<T> work) {
    try {
      return work.get();
    } catch (LorikeetException e) {
      if (e.code() != Code.INVALID_REQUEST) {
        throw e;
      }
      throw Faults.DATA.refuse(where, Faults.show(e.getMessage()), e);
    }
  }
}
