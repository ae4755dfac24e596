package com.example.quickstart;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.tiny.TinyModel;
import dev.lorikeet.training.FineTuning;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.TrainingTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** An adapter is learned over the model that is being served, and served as soon as it is there. */
public final class FineTune {
  private FineTune() {}

  /** Runs the example. */
  public static void main(String[] args) throws IOException {
    Path model = TinyModel.extract().base(); // your own: a Hugging Face directory
    Path examples = Path.of("examples.jsonl"); // a text, a prompt and completion, or a chat a line
    Path adapters = Files.createTempDirectory("adapters"); // PEFT directories come here
    String prompt = "The people of the";
    try (Lorikeet lorikeet = Lorikeet.open(model);
        FineTuning tuning = FineTuning.over(lorikeet, adapters).share(0.5).open()) {
      System.out.println("base: " + prompt + lorikeet.generate(prompt));

      TaskSpec house =
          TaskSpec.builder("house").learningRate(5e-3).steps(60).publishEvery(20).build();
      TrainingTask task = tuning.train(house, examples);
      System.out.println("meanwhile: The ship" + lorikeet.generate("The ship"));

      System.out.println("loss at the end: " + task.completion().join().loss());
      System.out.println("house: " + prompt + lorikeet.generate(prompt, "house"));
    }
  }
}
