/** Text to token ids and back, as Hugging Face's tokenizers do it, and chat templates. */
@NullMarked
package dev.lorikeet.text;

import org.jspecify.annotations.NullMarked;
