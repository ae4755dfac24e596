/** Tests of tokenization and chat templates against what Hugging Face's own libraries made. */
@NullMarked
package dev.lorikeet.text;

import org.jspecify.annotations.NullMarked;
