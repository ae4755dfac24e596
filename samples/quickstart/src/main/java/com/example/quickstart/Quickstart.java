package com.example.quickstart;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.tiny.TinyModel;
import java.util.List;
import java.util.stream.Stream;

/** One base model, two adapters: an answer, a batch, a stream. */
public final class Quickstart {
  private Quickstart() {}

  /** Runs the example. */
  public static void main(String[] args) {
    TinyModel files = TinyModel.extract(); // your own: a Hugging Face and some PEFT directories
    try (Lorikeet lorikeet = Lorikeet.open(files.base())) {
      lorikeet.register("scripture", files.adapter("scripture"));
      lorikeet.register("voyage", files.adapter("voyage"));

      // One answer. The base model alone: lorikeet.generate("The people of the").
      System.out.println("scripture:" + lorikeet.generate("The people of the", "scripture"));

      // Several requests, whatever their adapters, are decoded in one batch.
      GenerationRequest.Builder request = GenerationRequest.text("The ship").maxTokens(24);
      Generation scripture = lorikeet.submit(request.adapter("scripture").build());
      Generation voyage = lorikeet.submit(request.adapter("voyage").build());
      for (Generation generation : List.of(scripture, voyage)) {
        System.out.println("The ship" + generation.await().text());
      }

      // Tokens as they come; closing the stream early cancels the request.
      try (Stream<GeneratedToken> tokens = lorikeet.submit(request.build()).stream()) {
        tokens.forEach(token -> System.out.print(token.text()));
      }
      System.out.println();
    }
  }
}
