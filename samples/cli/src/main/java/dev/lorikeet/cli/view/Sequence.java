package dev.lorikeet.cli.view;

import dev.lorikeet.cli.options.PromptOptions;
import dev.lorikeet.cli.options.Voice;
import dev.lorikeet.model.Prompt;
import java.util.ArrayList;
import java.util.List;

/**
 * One sequence of a batch.
 *
 * @param text the prompt for people
 * @param prompt the prompt for the model
 * @param voice which adapters continue it
 */
public record Sequence(String text, Prompt prompt, Voice voice) {
  /** Returns every prompt in every voice, the voices of one prompt side by side. */
  public static List<Sequence> product(
      List<PromptOptions.NamedPrompt> prompts, List<Voice> voices) {
    List<Sequence> sequences = new ArrayList<>();
    for (PromptOptions.NamedPrompt prompt : prompts) {
      for (Voice voice : voices) {
        sequences.add(new Sequence(prompt.text(), prompt.prompt(), voice));
      }
    }
    return sequences;
  }
}
