package com.example.retrieval;

import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.embedding.onnx.allminilml6v2q.AllMiniLmL6V2QuantizedEmbeddingModel;

/**
 * The sentence embedding model all-MiniLM-L6-v2 (384 dimensions, quantized), which LangChain4j
 * carries in its jar and runs by ONNX Runtime in this process.
 */
final class MiniLm implements Embedder {
  /** A prompt's beginning tells its kind; the model looks at 256 tokens at a time. */
  private static final int MAX_CHARACTERS = 2000;

  private static final class Loaded {
    static final EmbeddingModel MODEL = load();

    private static EmbeddingModel load() {
      // DJL, whose tokenizer LangChain4j uses, would ask its servers for libraries and report to
      // them.
      setIfAbsent("ai.djl.offline", "true");
      setIfAbsent("OPT_OUT_TRACKING", "true");
      return new AllMiniLmL6V2QuantizedEmbeddingModel();
    }

    private static void setIfAbsent(String property, String value) {
      if (System.getProperty(property) == null) {
        System.setProperty(property, value);
      }
    }
  }

  @Override
  public float[] embed(String text) {
    String beginning = text.length() > MAX_CHARACTERS ? text.substring(0, MAX_CHARACTERS) : text;
    return Loaded.MODEL.embed(beginning).content().vector();
  }
}
